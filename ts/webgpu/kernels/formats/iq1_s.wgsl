// src/quant/iq1_s.c has the diagram. In its plane a block is the 48 bytes g and h; the d of all blocks come
// after.
fn iq1_s_h(row: u32, b: u32) -> u32 {
  return (weight(row + 12u * (b / 8u) + 8u + b % 8u / 2u) >> (16u * (b % 2u))) & 0xffffu;
}
fn word_iq1_s(row: u32, b: u32, j: u32) -> u32 {
  let h = iq1_s_h(row, b);
  let l = j / 2u;
  let low = (weight(row + 12u * (b / 8u) + b % 8u) >> (8u * l)) & 255u;
  let high = (h >> (3u * l)) & 7u;
  return iq1_values(grid_entry(GRID_IQ1_S + (low | (high << 8u))), j % 2u, h >> 15u);
}
fn scale_iq1_s(row: u32, b: u32) -> vec4f {
  let scale = f32(2u * ((iq1_s_h(row, b) >> 12u) & 7u) + 1u);
  return vec4f(vec2f(0.125 * half_at(row + 12u * (N_IN / 256u), b / 8u) * scale), 0.0, 0.0);
}
