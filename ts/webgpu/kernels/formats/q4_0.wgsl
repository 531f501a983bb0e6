// src/quant/q4_0.c has the diagram. In its plane a block is the 16 bytes q; the d of all blocks come after.
fn word_q4_0(row: u32, b: u32, j: u32) -> u32 {
  let codes = (weight(row + 4u * b + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu;
  return centred(codes, 0x08080808u);
}
fn scale_q4_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + 4u * (N_IN / 32u), b)), 0.0, 0.0);
}
fn codes_q4_0(row: u32, b: u32) -> Codes {
  let q = weights_at(row + 4u * b);
  return Codes(centred4(q & vec4u(0x0f0f0f0fu), 0x08080808u),
    centred4((q >> vec4u(4u)) & vec4u(0x0f0f0f0fu), 0x08080808u));
}
