// src/quant/q5_1.c has the diagram.
fn word_q5_1(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 6u * b;
  let low = (weight(at + 2u + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu;
  return low | (spread_bits((weight(at + 1u) >> (4u * j)) & 15u) << 4u);
}
fn scale_q5_1(row: u32, b: u32) -> vec4f {
  return unpack2x16float(weight(row + 6u * b)).xxyy;
}
