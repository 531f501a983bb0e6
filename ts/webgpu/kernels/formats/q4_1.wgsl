// src/quant/q4_1.c has the diagram.
fn word_q4_1(row: u32, b: u32, j: u32) -> u32 {
  return (weight(row + 5u * b + 1u + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu;
}
fn scale_q4_1(row: u32, b: u32) -> vec4f {
  return unpack2x16float(weight(row + 5u * b)).xxyy;
}
