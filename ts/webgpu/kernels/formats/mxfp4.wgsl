// src/quant/mxfp4.c has the diagram. In its plane a block is the 16 bytes q; the e of all blocks come after.
fn word_mxfp4(row: u32, b: u32, j: u32) -> u32 {
  return e2m1_values((weight(row + 4u * b + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu);
}
fn scale_mxfp4(row: u32, b: u32) -> vec4f {
  let e = (weight(row + 4u * (N_IN / 32u) + b / 4u) >> (8u * (b % 4u))) & 255u;
  return vec4f(vec2f(bitcast<f32>(select((e - 1u) << 23u, 0x00200000u << (e & 1u), e < 2u))), 0.0, 0.0);
}
fn codes_mxfp4(row: u32, b: u32) -> Codes {
  let q = weights_at(row + 4u * b);
  let low = q & vec4u(0x0f0f0f0fu);
  let high = (q >> vec4u(4u)) & vec4u(0x0f0f0f0fu);
  return Codes(
    vec4u(e2m1_values(low.x), e2m1_values(low.y), e2m1_values(low.z), e2m1_values(low.w)),
    vec4u(e2m1_values(high.x), e2m1_values(high.y), e2m1_values(high.z), e2m1_values(high.w)),
  );
}
