// src/quant/tq2_0.c has the diagram. In its plane a block is the 64 bytes q; the d of all blocks come after.
fn word_tq2_0(row: u32, b: u32, j: u32) -> u32 {
  let i = b % 8u;
  let four = weight(row + 16u * (b / 8u) + 8u * (i / 4u) + j) >> (2u * (i % 4u));
  return centred(four & 0x03030303u, 0x01010101u);
}
fn scale_tq2_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + N_IN / 16u, b / 8u)), 0.0, 0.0);
}
