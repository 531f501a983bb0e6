// src/quant/iq3_s.c has the diagram. In its plane a block is g, h, signs and s; the d of all blocks come
// after.
fn word_iq3_s(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 27u * (b / 8u);
  let i = b % 8u;
  let low = (weight(at + 2u * i + j / 4u) >> (8u * (j % 4u))) & 255u;
  let high = (weight(at + 16u + i / 4u) >> (8u * (i % 4u) + j)) & 1u;
  // 1, 3, 5, .. 15.
  let values = 2u * spread_nibbles(grid_entry(GRID_IQ3_S + (low | (high << 8u)))) + 0x01010101u;
  return with_signs(values, weight(at + 18u + i) >> (4u * j));
}
fn scale_iq3_s(row: u32, b: u32) -> vec4f {
  let scale = f32(2u * ((weight(row + 27u * (b / 8u) + 26u) >> (4u * (b % 8u))) & 15u) + 1u);
  return vec4f(vec2f(half_at(row + 27u * (N_IN / 256u), b / 8u) * scale), 0.0, 0.0);
}
