// src/quant/q4_k.c has the diagram.
fn word_q4_k(row: u32, b: u32, j: u32) -> u32 {
  return (weight(row + 36u * (b / 8u) + 4u + b % 8u / 2u * 8u + j) >> (4u * (b % 2u))) & 0x0f0f0f0fu;
}
fn scale_q4_k(row: u32, b: u32) -> vec4f {
  return scale_of_k(row + 36u * (b / 8u), b % 8u);
}
fn codes_q4_k(row: u32, b: u32) -> Codes {
  let at = row + 36u * (b / 8u) + 4u + b % 8u / 2u * 8u;
  let shift = vec4u(4u * (b % 2u));
  return Codes((weights_at(at) >> shift) & vec4u(0x0f0f0f0fu),
    (weights_at(at + 4u) >> shift) & vec4u(0x0f0f0f0fu));
}
