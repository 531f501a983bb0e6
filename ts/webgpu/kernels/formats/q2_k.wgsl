// src/quant/q2_k.c has the diagram.
fn word_q2_k(row: u32, b: u32, j: u32) -> u32 {
  let i = b % 8u;
  return (weight(row + 21u * (b / 8u) + 4u + 8u * (i / 4u) + j) >> (2u * (i % 4u))) & 0x03030303u;
}
fn scale_q2_k(row: u32, b: u32) -> vec4f {
  let at = row + 21u * (b / 8u);
  let s = weight(at + b % 8u / 2u) >> (16u * (b % 2u));
  let scales = vec4f((vec4u(s) >> vec4u(0u, 8u, 4u, 12u)) & vec4u(15u));
  return unpack2x16float(weight(at + 20u)).xxyy * scales * vec4f(1.0, 1.0, -1.0, -1.0);
}
