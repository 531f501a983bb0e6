// sum_of_workgroup: the sum of `value` over the LANES invocations of a workgroup, to all of them; i is the
// invocation's index. LANES is a power of two.
var<workgroup> sum_room: array<f32, LANES>;

fn sum_of_workgroup(value: f32, i: u32) -> f32 {
  workgroupBarrier();
  sum_room[i] = value;
  workgroupBarrier();
  for (var n = LANES / 2; n > 0; n >>= 1) {
    if (i < n) {
      sum_room[i] += sum_room[i + n];
    }
    workgroupBarrier();
  }
  return sum_room[0];
}
