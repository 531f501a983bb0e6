// src/quant/iq1_m.c has the diagram.
fn word_iq1_m(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 14u * (b / 8u);
  let i = b % 8u;
  let l = j / 2u;
  let low = (weight(at + i) >> (8u * l)) & 255u;
  let h = weight(at + 8u + i / 2u) >> (16u * (i % 2u) + 4u * l);
  return iq1_values(grid_entry(GRID_IQ1_S + (low | ((h & 7u) << 8u))), j % 2u, (h >> 3u) & 1u);
}
fn scale_iq1_m(row: u32, b: u32) -> vec4f {
  let at = row + 14u * (b / 8u) + 12u;
  let i = b % 8u;
  let two = vec2u(weight(at), weight(at + 1u));
  let bits = ((two.x >> 12u) & 15u) | ((two.x >> 28u) << 4u) | (((two.y >> 12u) & 15u) << 8u)
    | ((two.y >> 28u) << 12u);
  let s = two[i / 4u] >> (16u * (i / 2u % 2u) + 6u * (i % 2u));
  let scales = vec2f(2u * vec2u(s & 7u, (s >> 3u) & 7u) + 1u);
  return vec4f(0.125 * unpack2x16float(bits).x * scales, 0.0, 0.0);
}
