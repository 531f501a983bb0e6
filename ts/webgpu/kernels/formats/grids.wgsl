// Elements of the IQ formats, four signed bytes a word, from entries of their grids (src/quant/own.h). The
// grids are the first words of a buffer with such matrices, in the order of chord_grids(), two entries a word.
const GRID_IQ2_XXS = 0u;
const GRID_IQ2_XS = 256u;
const GRID_IQ2_S = 768u;
const GRID_IQ3_XXS = 1792u;
const GRID_IQ3_S = 2048u;
const GRID_IQ1_S = 2560u;
fn grid_entry(i: u32) -> u32 {
  return (weight(i / 2u) >> (16u * (i % 2u))) & 0xffffu;
}
// Moves nibble i of 16 bits to byte i.
fn spread_nibbles(four: u32) -> u32 {
  let two = (four | (four << 8u)) & 0x00ff00ffu;
  return (two | (two << 4u)) & 0x0f0f0f0fu;
}
// Half `h` of the eight codes of an entry of IQ1 or IQ2.
fn grid_codes(entry: u32, h: u32) -> u32 {
  return spread_nibbles(entry >> (2u * h)) & 0x03030303u;
}
// Byte k, which isn't 0, is negated where bit k of `signs` is set.
fn with_signs(bytes: u32, signs: u32) -> u32 {
  let ones = spread_bits(signs & 15u);
  return (bytes ^ (ones * 255u)) + ones;
}
// Eight signs from seven: an even number of them is negative.
fn eight_signs(seven: u32) -> u32 {
  return seven | ((countOneBits(seven) & 1u) << 7u);
}
// 8, 25, 43.
fn iq2_values(entry: u32, h: u32, signs: u32) -> u32 {
  let c = grid_codes(entry, h);
  return with_signs(17u * c + 0x08080808u + ((c >> 1u) & 0x01010101u), signs >> (4u * h));
}
// 8 (code - 1) + 1, or - 1 if is_less is 1.
fn iq1_values(entry: u32, h: u32, is_less: u32) -> u32 {
  return centred(8u * grid_codes(entry, h), 0x07070707u + 0x02020202u * is_less);
}
