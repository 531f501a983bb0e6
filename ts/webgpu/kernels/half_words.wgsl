// The functions of half_native.wgsl with words, which every device has.
alias Half4 = vec2u;
fn half4(four: vec4f) -> Half4 {
  return vec2u(pack2x16float(four.xy), pack2x16float(four.zw));
}
fn half4_of(words: vec2u) -> Half4 {
  return words;
}
fn floats(four: Half4) -> vec4f {
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
