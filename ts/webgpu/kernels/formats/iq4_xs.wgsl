// src/quant/iq4_xs.c has the diagram.
fn word_iq4_xs(row: u32, b: u32, j: u32) -> u32 {
  return iq4_values((weight(row + 34u * (b / 8u) + 2u + b % 8u * 4u + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu);
}
fn scale_iq4_xs(row: u32, b: u32) -> vec4f {
  let at = row + 34u * (b / 8u);
  let i = b % 8u;
  let scale = ((weight(at + 1u) >> (4u * i)) & 15u) | (((weight(at) >> (16u + 2u * i)) & 3u) << 4u);
  return vec4f(vec2f(unpack2x16float(weight(at)).x * (f32(scale) - 32.0)), 0.0, 0.0);
}
