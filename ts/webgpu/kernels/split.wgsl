// SPLIT: half i of each of the pairs of HEAD_DIM elements of x[t] goes to y<i>[t].
override HEADS: u32;
override HEAD_DIM: u32;
override X_STRIDE: u32;
override Y0_STRIDE: u32;
override Y1_STRIDE: u32;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y0: array<f32>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= HEADS * HEAD_DIM) {
    return;
  }
  let first = id.y * X_STRIDE + id.x / HEAD_DIM * 2 * HEAD_DIM + id.x % HEAD_DIM;
  y0[id.y * Y0_STRIDE + id.x] = x[first];
  y1[id.y * Y1_STRIDE + id.x] = x[first + HEAD_DIM];
}
