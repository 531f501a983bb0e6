// Four signed bytes as floats, where the language has the function.
fn unpack(codes: u32) -> vec4f {
  return vec4f(unpack4xI8(codes));
}
