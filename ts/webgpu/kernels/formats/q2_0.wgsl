// src/quant/q2_0.c has the diagram. In its plane a block is the 16 bytes q; the d of all blocks come after.
fn word_q2_0(row: u32, b: u32, j: u32) -> u32 {
  let four = (weight(row + 2u * b + j / 4u) >> (8u * (j % 4u))) & 255u;
  return centred((four | (four << 6u) | (four << 12u) | (four << 18u)) & 0x03030303u, 0x01010101u);
}
fn scale_q2_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + N_IN / 16u, b / 2u)), 0.0, 0.0);
}
