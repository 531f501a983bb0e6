// src/quant/iq3_xxs.c has the diagram. In its plane a block is the 96 bytes g and s; the d of all blocks come
// after.
fn word_iq3_xxs(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 24u * (b / 8u);
  let i = b % 8u;
  let g = (weight(at + 2u * i + j / 4u) >> (8u * (j % 4u))) & 255u;
  let c = spread_nibbles(grid_entry(GRID_IQ3_XXS + g));
  // Half of 4, 12, 20, 28, 36, 44, 52, and of 62.
  let values = 4u * c + 0x02020202u + (c & (c >> 1u) & (c >> 2u) & 0x01010101u);
  let signs = eight_signs((weight(at + 16u + i) >> (7u * (j / 2u))) & 127u);
  return with_signs(values, signs >> (4u * (j % 2u)));
}
fn scale_iq3_xxs(row: u32, b: u32) -> vec4f {
  let scale = f32(2u * (weight(row + 24u * (b / 8u) + 16u + b % 8u) >> 28u) + 1u);
  return vec4f(vec2f(0.5 * half_at(row + 24u * (N_IN / 256u), b / 8u) * scale), 0.0, 0.0);
}
