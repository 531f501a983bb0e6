// src/quant/iq2_s.c has the diagram. In its plane a block is g, signs, h and s; the d of all blocks come
// after.
fn word_iq2_s(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 20u * (b / 8u);
  let i = b % 8u;
  let l = j / 2u;
  let low = (weight(at + i) >> (8u * l)) & 255u;
  let high = (weight(at + 16u + i / 4u) >> (8u * (i % 4u) + 2u * l)) & 3u;
  let signs = weight(at + 8u + i) >> (8u * l);
  return iq2_values(grid_entry(GRID_IQ2_S + (low | (high << 8u))), j % 2u, signs);
}
fn scale_iq2_s(row: u32, b: u32) -> vec4f {
  let s = weight(row + 20u * (b / 8u) + 18u + b % 8u / 4u) >> (8u * (b % 4u));
  let scales = vec2f(2u * vec2u(s & 15u, (s >> 4u) & 15u) + 1u);
  return vec4f(0.125 * half_at(row + 20u * (N_IN / 256u), b / 8u) * scales, 0.0, 0.0);
}
