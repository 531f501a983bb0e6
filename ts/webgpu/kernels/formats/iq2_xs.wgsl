// src/quant/iq2_xs.c has the diagram. In its plane a block is the 72 bytes q and s; the d of all blocks come
// after.
fn word_iq2_xs(row: u32, b: u32, j: u32) -> u32 {
  let l = j / 2u;
  let at = row + 18u * (b / 8u) + 2u * (b % 8u) + l / 2u;
  let q = (weight(at) >> (16u * (l % 2u))) & 0xffffu;
  return iq2_values(grid_entry(GRID_IQ2_XS + (q & 511u)), j % 2u, eight_signs(q >> 9u));
}
fn scale_iq2_xs(row: u32, b: u32) -> vec4f {
  let s = weight(row + 18u * (b / 8u) + 16u + b % 8u / 4u) >> (8u * (b % 4u));
  let scales = vec2f(2u * vec2u(s & 15u, (s >> 4u) & 15u) + 1u);
  return vec4f(0.125 * half_at(row + 18u * (N_IN / 256u), b / 8u) * scales, 0.0, 0.0);
}
