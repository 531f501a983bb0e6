// The words of matrices, at any place.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
fn weight(at: u32) -> u32 {
  return weights[at];
}
fn weights_at(at: u32) -> vec4u {
  return vec4u(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
}
