// As weights_fours.wgsl, of two matrices in buffers of their own: `stack` says which one is read.
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;
@group(0) @binding(7) var<storage, read> weights1: array<vec4u>;
var<private> stack: u32;
fn weights_at(at: u32) -> vec4u {
  if (stack == 1u) {
    return weights1[at / 4u];
  }
  return weights[at / 4u];
}
fn weight(at: u32) -> u32 {
  return weights_at(at)[at % 4u];
}
