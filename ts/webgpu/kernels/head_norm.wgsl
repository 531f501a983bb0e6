// HEAD_NORM in place, one head of one row a workgroup: x / sqrt(mean(x^2) + eps) * weight.
override HEAD_DIM: u32;
override STRIDE: u32;
override EPS: f32;
override WEIGHTED: u32 = 0;
struct Params {
  weight: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.y * STRIDE + group.x * HEAD_DIM;
  var squares = 0.0;
  for (var i = lane; i < HEAD_DIM; i += LANES) {
    squares += y[first + i] * y[first + i];
  }
  let scale = 1 / sqrt(sum_of_workgroup(squares, lane) / f32(HEAD_DIM) + EPS);
  for (var i = lane; i < HEAD_DIM; i += LANES) {
    y[first + i] *= scale * select(1.0, vectors[p.weight + i], WEIGHTED == 1);
  }
}
