// src/quant/q6_k.c has the diagram. In its plane a block is q, h and s; the d of all blocks come after.
fn word_q6_k(row: u32, b: u32, j: u32) -> u32 {
  let at = row + 52u * (b / 8u);
  let half = b % 8u / 4u;
  let i = b % 4u;
  let low = (weight(at + 16u * half + 8u * (i % 2u) + j) >> (4u * (i / 2u))) & 0x0f0f0f0fu;
  let high = (weight(at + 32u + 8u * half + j) >> (2u * i)) & 0x03030303u;
  return centred(low | (high << 4u), 0x20202020u);
}
fn scale_q6_k(row: u32, b: u32) -> vec4f {
  let s = weight(row + 52u * (b / 8u) + 48u + b % 8u / 2u) >> (16u * (b % 2u));
  let scales = vec2f(bitcast<vec2i>(vec2u(s << 24u, s << 16u)) >> vec2u(24u));
  return vec4f(half_at(row + 52u * (N_IN / 256u), b / 8u) * scales, 0.0, 0.0);
}
fn four_q6_k(q: u32, h: u32, i: u32) -> vec4u {
  let low = (weights_at(q) >> vec4u(4u * (i / 2u))) & vec4u(0x0f0f0f0fu);
  let high = (weights_at(h) >> vec4u(2u * i)) & vec4u(0x03030303u);
  return centred4(low | (high << vec4u(4u)), 0x20202020u);
}
fn codes_q6_k(row: u32, b: u32) -> Codes {
  let at = row + 52u * (b / 8u);
  let half = b % 8u / 4u;
  let i = b % 4u;
  let q = at + 16u * half + 8u * (i % 2u);
  let h = at + 32u + 8u * half;
  return Codes(four_q6_k(q, h, i), four_q6_k(q + 4u, h + 4u, i));
}
