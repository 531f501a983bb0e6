// Elements of quantised rows. `s` is the segment: it decides the format. part() gives elements 4 j .. 4 j
// + 3 of group b without their scale, scales() the factors and offsets of blocks.wgsl, value() the
// elements themselves.
fn part(s: u32, row: u32, b: u32, j: u32) -> vec4f {
  return unpack(word(s, row, b, j));
}
// A group whose words are read at once, for the same.
fn group(s: u32, row: u32, b: u32) -> Codes {
  return codes(s, row, b);
}
fn part_of(group: Codes, s: u32, row: u32, b: u32, j: u32) -> vec4f {
  return unpack(select(group.low, group.high, j >= 4u)[j % 4u]);
}
fn scales(s: u32, row: u32, b: u32) -> vec4f {
  return scale(s, row, b);
}
fn value(s: u32, row: u32, b: u32, j: u32) -> vec4f {
  let four = scale(s, row, b);
  return select(four.x, four.y, j >= 4u) * part(s, row, b, j) + select(four.z, four.w, j >= 4u);
}
