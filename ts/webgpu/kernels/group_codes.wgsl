// A group of 32 elements of a quantised row (blocks.wgsl). `s` is the segment: it decides the format.
struct Group {
  words: array<u32, 8>,
  scale: vec4f,
}
fn read_group(s: u32, row: u32, b: u32) -> Group {
  var group: Group;
  for (var j = 0u; j < 8u; j++) {
    group.words[j] = word(s, row, b, j);
  }
  group.scale = scale(s, row, b);
  return group;
}

// Elements 4 j .. 4 j + 3 without their scale.
fn part(group: ptr<function, Group>, j: u32) -> vec4f {
  return unpack((*group).words[j]);
}

// The half h of the dot product of a group and inputs: `sum` is the product of the parts, `inputs` the sum of
// the inputs.
fn scaled(group: ptr<function, Group>, h: u32, sum: f32, inputs: f32) -> f32 {
  let product = (*group).scale[h] * sum;
  if (OFFSETS == 1u) {
    return product + (*group).scale[2u + h] * inputs;
  }
  return product;
}

// Elements 4 j .. 4 j + 3.
fn value(s: u32, row: u32, b: u32, j: u32) -> vec4f {
  let factors = scale(s, row, b);
  let codes = unpack(word(s, row, b, j));
  return select(factors.x, factors.y, j >= 4u) * codes + select(factors.z, factors.w, j >= 4u);
}
