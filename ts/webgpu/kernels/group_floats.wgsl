// Elements of rows of floats: the functions of group_codes.wgsl.
fn part(s: u32, row: u32, b: u32, j: u32) -> vec4f {
  return value(s, row, b, j);
}
fn group(s: u32, row: u32, b: u32) -> Codes {
  return Codes();
}
fn part_of(group: Codes, s: u32, row: u32, b: u32, j: u32) -> vec4f {
  return value(s, row, b, j);
}
fn scales(s: u32, row: u32, b: u32) -> vec4f {
  return vec4f(1.0, 1.0, 0.0, 0.0);
}
