// src/quant/q8_0.c has the diagram. In its plane a block is the 32 bytes q; the d of all blocks come after.
fn word_q8_0(row: u32, b: u32, j: u32) -> u32 {
  return weight(row + 8u * b + j);
}
fn scale_q8_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + 8u * (N_IN / 32u), b)), 0.0, 0.0);
}
fn codes_q8_0(row: u32, b: u32) -> Codes {
  return Codes(weights_at(row + 8u * b), weights_at(row + 8u * b + 4u));
}
