// The functions of lanes_workgroup.wgsl, with subgroups of any size: lanes are summed within their subgroup
// first, as far as it belongs to one team. Invocations of a subgroup are next to each other in the workgroup:
// WGSL doesn't say so, but drivers do it. Any other order is for the self-test to find.
var<workgroup> partials: array<f32, 64u * ALL_VALUES>;
var<workgroup> clusters: u32;

fn share(v: u32, local: u32, value: f32) {
  // Lanes of a team in a subgroup: a power of two, as both are.
  let cluster = min(subgroupAdd(1u), LANES);
  var sum = value;
  for (var i = 1u; i < LANES; i <<= 1u) {
    let other = subgroupShuffleXor(sum, i);
    sum += select(0.0, other, i < cluster);
  }
  if (local % cluster == 0u) {
    partials[64u * v + local / cluster] = sum;
  }
  if (local == 0u) {
    clusters = LANES / cluster;
  }
}
fn total(v: u32, team: u32, begin: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < clusters; i++) {
    sum += partials[64u * v + team * clusters + i];
  }
  return sum;
}
