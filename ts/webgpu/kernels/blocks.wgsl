// What the formats' texts share. A row of a matrix is N_IN elements and begins at word `row` of `weights`.
// Its elements are counted in groups of 32; b is a group's number. Word j (0..7) of a group's codes holds
// elements 4 j .. 4 j + 3, one signed byte each. A format F has two functions:
//   word_F(row, b, j)   word j of group b's codes
//   scale_F(row, b)     vec4f(d0, d1, m0, m1): an element of the group's first half is d0 * code + m0, an
//                       element of the second half d1 * code + m1
// Formats whose codes lie in whole fours of words also have codes_F(row, b), all eight words in few reads.
// Formats of floats have value_F(row, b, j): the elements 4 j .. 4 j + 3 themselves.
override N_IN: u32;

// Words j of a group's codes: 0 .. 3, and 4 .. 7.
struct Codes {
  low: vec4u,
  high: vec4u,
}

// Number i of the f16 that begin at word `at`.
fn half_at(at: u32, i: u32) -> f32 {
  return unpack2x16float(weight(at + i / 2u))[i % 2u];
}

// Subtracts `centre`, which is the same in all bytes, from bytes below 128. The high bits stop the borrow.
fn centred(codes: u32, centre: u32) -> u32 {
  return ((codes | 0x80808080u) - centre) ^ 0x80808080u;
}

fn centred4(codes: vec4u, centre: u32) -> vec4u {
  return ((codes | vec4u(0x80808080u)) - vec4u(centre)) ^ vec4u(0x80808080u);
}

// Moves bit i of a nibble to bit 8 i.
fn spread_bits(nibble: u32) -> u32 {
  return (nibble * 0x00204081u) & 0x01010101u;
}
