// As weights_pair_fours.wgsl, with a third buffer for stacks 2 and 3.
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;
@group(0) @binding(7) var<storage, read> weights1: array<vec4u>;
@group(0) @binding(8) var<storage, read> weights2: array<vec4u>;
var<private> stack: u32;
fn weights_at(at: u32) -> vec4u {
  if (stack >= 2u) {
    return weights2[at / 4u];
  }
  if (stack == 1u) {
    return weights1[at / 4u];
  }
  return weights[at / 4u];
}
fn weight(at: u32) -> u32 {
  return weights_at(at)[at % 4u];
}
