// src/quant/q5_0.c has the diagram. In its plane a block is h and q; the d of all blocks come after.
fn word_q5_0(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 5u * b;
  let low = (weight(at + 1u + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu;
  let high = spread_bits((weight(at) >> (4u * j)) & 15u);
  return centred(low | (high << 4u), 0x10101010u);
}
fn scale_q5_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + 5u * (N_IN / 32u), b)), 0.0, 0.0);
}
