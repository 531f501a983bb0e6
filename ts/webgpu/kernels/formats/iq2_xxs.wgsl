// src/quant/iq2_xxs.c has the diagram. In its plane a block is the 64 bytes g and s; the d of all blocks come
// after.
fn word_iq2_xxs(row: u32, b: u32, j: u32) -> u32 {
  let l = j / 2u;
  let entry = grid_entry(GRID_IQ2_XXS + ((weight(row + 2u * b) >> (8u * l)) & 255u));
  let seven = (weight(row + 2u * b + 1u) >> (7u * l)) & 127u;
  return iq2_values(entry, j % 2u, eight_signs(seven));
}
fn scale_iq2_xxs(row: u32, b: u32) -> vec4f {
  let scale = f32(2u * (weight(row + 2u * b + 1u) >> 28u) + 1u);
  return vec4f(vec2f(0.125 * half_at(row + N_IN / 16u, b / 8u) * scale), 0.0, 0.0);
}
