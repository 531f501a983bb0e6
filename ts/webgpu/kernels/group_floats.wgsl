// A group of 32 elements of a row of floats: the same functions as group_codes.wgsl has.
struct Group {
  parts: array<vec4f, 8>,
}
fn read_group(s: u32, row: u32, b: u32) -> Group {
  var group: Group;
  for (var j = 0u; j < 8u; j++) {
    group.parts[j] = value(s, row, b, j);
  }
  return group;
}
fn part(group: ptr<function, Group>, j: u32) -> vec4f {
  return (*group).parts[j];
}
fn scaled(group: ptr<function, Group>, h: u32, sum: f32, inputs: f32) -> f32 {
  return sum;
}
