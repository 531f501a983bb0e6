// RESCALE in place, one block of one row a workgroup: y *= |x| / |y|. A block of zeros stays as it is.
override WIDTH: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = group.y * X_STRIDE;
  let first = group.y * Y_STRIDE + group.x * WIDTH;
  var wanted = 0.0;
  var own = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    wanted += x[at + i] * x[at + i];
    own += y[first + i] * y[first + i];
  }
  let target_length = sqrt(sum_of_workgroup(wanted, lane));
  let length = sqrt(sum_of_workgroup(own, lane));
  let factor = select(1.0, target_length / max(length, 1e-37), length > 0);
  for (var i = lane; i < WIDTH; i += LANES) {
    y[first + i] *= factor;
  }
}
