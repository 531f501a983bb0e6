// src/quant/tq1_0.c has the diagram. In its plane a block is the 52 bytes q and h; the d of all blocks come
// after. Digits 0..2 of two bytes, which are the low bytes of halves:
fn tq1_0_digits(bytes: u32, power: u32) -> u32 {
  return (((((bytes & 0x00ff00ffu) * power) & 0x00ff00ffu) * 3u) >> 8u) & 0x00030003u;
}
fn word_tq1_0(row: u32, b: u32, j: u32) -> u32 {
  let i = b % 8u;
  let is_late = i >= 5u;
  let is_last = i == 7u;
  // The word of four bytes, and the number of their digit.
  let at = select(j, select(8u + j % 4u, 12u, is_last && j >= 4u), is_late);
  let late = select(2u * i - 10u + j / 4u, select(4u, j - 4u, j >= 4u), is_last);
  let digit = select(i, late, is_late);
  let power = select(select(1u, 3u, digit == 1u), select(select(9u, 27u, digit == 3u), 81u, digit == 4u), digit > 1u);
  let four = weight(row + 13u * (b / 8u) + at);
  return centred(tq1_0_digits(four, power) | (tq1_0_digits(four >> 8u, power) << 8u), 0x01010101u);
}
fn scale_tq1_0(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + 13u * (N_IN / 256u), b / 8u)), 0.0, 0.0);
}
