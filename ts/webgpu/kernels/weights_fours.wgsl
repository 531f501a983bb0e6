// The words of matrices whose rows begin at multiples of four: weights_at() is one read.
@group(0) @binding(2) var<storage, read> weights: array<vec4u>;
fn weight(at: u32) -> u32 {
  return weights[at / 4u][at % 4u];
}
fn weights_at(at: u32) -> vec4u {
  return weights[at / 4u];
}
