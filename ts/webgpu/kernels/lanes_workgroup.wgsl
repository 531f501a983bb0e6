// Sums over the lanes of a team, without subgroups: each lane shares its values, and after a barrier total()
// gives the sum of value v. Threads begin at different lanes, hence in different banks.
var<workgroup> partials: array<f32, 64u * ALL_VALUES>;

fn share(v: u32, local: u32, value: f32) {
  partials[64u * v + local] = value;
}
fn total(v: u32, team: u32, begin: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += partials[64u * v + team * LANES + (begin + i) % LANES];
  }
  return sum;
}
