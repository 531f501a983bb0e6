// Four signed bytes as floats.
fn unpack(codes: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(codes) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));
}
