// As weights_pair_words.wgsl, with a third buffer for stacks 2 and 3.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(7) var<storage, read> weights1: array<u32>;
@group(0) @binding(8) var<storage, read> weights2: array<u32>;
var<private> stack: u32;
fn weight(at: u32) -> u32 {
  if (stack >= 2u) {
    return weights2[at];
  }
  if (stack == 1u) {
    return weights1[at];
  }
  return weights[at];
}
fn weights_at(at: u32) -> vec4u {
  return vec4u(weight(at), weight(at + 1u), weight(at + 2u), weight(at + 3u));
}
