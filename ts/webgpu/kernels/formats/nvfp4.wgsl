// src/quant/nvfp4.c has the diagram.
fn word_nvfp4(row: u32, b: u32, j: u32) -> u32 {
  let q = weight(row + 9u * (b / 2u) + 1u + 4u * (b % 2u) + 2u * (j / 4u) + j % 2u);
  return e2m1_values((q >> (4u * (j / 2u % 2u))) & 0x0f0f0f0fu);
}
fn nvfp4_scale(d: u32) -> f32 {
  let m = d & 7u;
  let e = (d >> 3u) & 15u;
  let units = select(m, (8u + m) << (max(e, 1u) - 1u), e > 0u);
  return select(f32(units) * 0.0009765625, 0.0, d == 0x7fu);
}
fn scale_nvfp4(row: u32, b: u32) -> vec4f {
  let d = weight(row + 9u * (b / 2u)) >> (16u * (b % 2u));
  return vec4f(nvfp4_scale(d & 255u), nvfp4_scale((d >> 8u) & 255u), 0.0, 0.0);
}
