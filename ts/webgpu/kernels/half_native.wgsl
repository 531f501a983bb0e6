// Four f16 in workgroup memory, where the device has the type.
alias Half4 = vec4<f16>;
fn half4(four: vec4f) -> Half4 {
  return Half4(four);
}
// Exact. Naga has no bitcast to vec4<f16> yet.
fn half4_of(words: vec2u) -> Half4 {
  return Half4(vec4f(unpack2x16float(words.x), unpack2x16float(words.y)));
}
fn floats(four: Half4) -> vec4f {
  return vec4f(four);
}
