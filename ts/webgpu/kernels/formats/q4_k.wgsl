// src/quant/q4_k.c has the diagram.
fn word_q4_k(row: u32, b: u32, j: u32) -> u32 {
  return (weights[row + 36u * (b / 8u) + 4u + b % 8u / 2u * 8u + j] >> (4u * (b % 2u))) & 0x0f0f0f0fu;
}
fn scale_q4_k(row: u32, b: u32) -> vec4f {
  return scale_of_k(row + 36u * (b / 8u), b % 8u);
}
