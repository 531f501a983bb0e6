// src/quant/q5_k.c has the diagram.
fn word_q5_k(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 44u * (b / 8u);
  let low = (weight(at + 12u + b % 8u / 2u * 8u + j) >> (4u * (b % 2u))) & 0x0f0f0f0fu;
  let high = (weight(at + 4u + j) >> (b % 8u)) & 0x01010101u;
  return low | (high << 4u);
}
fn scale_q5_k(row: u32, b: u32) -> vec4f {
  return scale_of_k(row + 44u * (b / 8u), b % 8u);
}
fn codes_q5_k(row: u32, b: u32) -> Codes {
  let at = row + 44u * (b / 8u);
  let q = at + 12u + b % 8u / 2u * 8u;
  let shift = vec4u(4u * (b % 2u));
  let bit = vec4u(b % 8u);
  let low = (weights_at(q) >> shift) & vec4u(0x0f0f0f0fu);
  let high = (weights_at(q + 4u) >> shift) & vec4u(0x0f0f0f0fu);
  return Codes(low | (((weights_at(at + 4u) >> bit) & vec4u(0x01010101u)) << vec4u(4u)),
    high | (((weights_at(at + 8u) >> bit) & vec4u(0x01010101u)) << vec4u(4u)));
}
