// SPARSIFY in place, a row a workgroup: y = max(y - mean - FACTOR * standard deviation, 0).
override WIDTH: u32;
override Y_STRIDE: u32;
override FACTOR: f32;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.y * Y_STRIDE;
  var sum = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    sum += y[first + i];
  }
  let mean = sum_of_workgroup(sum, lane) / f32(WIDTH);
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    let off = y[first + i] - mean;
    squares += off * off;
  }
  let cutoff = mean + FACTOR * sqrt(sum_of_workgroup(squares, lane) / f32(WIDTH - 1));
  for (var i = lane; i < WIDTH; i += LANES) {
    y[first + i] = max(y[first + i] - cutoff, 0.0);
  }
}
