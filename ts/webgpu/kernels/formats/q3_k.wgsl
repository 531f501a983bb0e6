// src/quant/q3_k.c has the diagram. In its plane a block is h, q and s; the d of all blocks come after.
fn word_q3_k(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 27u * (b / 8u);
  let i = b % 8u;
  let low = (weight(at + 8u + 8u * (i / 4u) + j) >> (2u * (i % 4u))) & 0x03030303u;
  let high = (weight(at + j) >> i) & 0x01010101u;
  return centred(low | (high << 2u), 0x04040404u);
}
fn scale_q3_k(row: u32, b: u32) -> vec4f {
  let s = row + 27u * (b / 8u) + 24u;
  let first = 2u * (b % 8u); // scales `first` and first + 1, whose bytes are side by side
  let low = weight(s + first % 8u / 4u) >> (8u * (first % 4u) + 4u * (first / 8u));
  let high = weight(s + 2u) >> (8u * (first % 4u) + 2u * (first / 4u));
  let scales = vec2u(low & 15u, (low >> 8u) & 15u) | (vec2u(high & 3u, (high >> 8u) & 3u) << vec2u(4u));
  let d = half_at(row + 27u * (N_IN / 256u), b / 8u);
  return vec4f(d * (vec2f(scales) - 32.0), 0.0, 0.0);
}
