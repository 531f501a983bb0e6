// src/quant/q1_0.c has the diagram. In its plane a block is the 16 bytes q; the d of all blocks come after.
fn word_q1_0(row: u32, b: u32, j: u32) -> u32 {
  let ones = spread_bits((weight(row + b) >> (4u * j)) & 15u);
  return 0x01010101u | ((ones ^ 0x01010101u) * 0xfeu);
}
fn scale_q1_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + N_IN / 32u, b / 4u)), 0.0, 0.0);
}
