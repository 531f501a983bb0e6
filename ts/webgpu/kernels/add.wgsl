// ADD: y[t] += x[t], t a row of the batch.
struct Params {
  width: u32,
  x_stride: u32,
  y_stride: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.width || id.y >= batch.n_tokens) {
    return;
  }
  y[id.y * p.y_stride + id.x] += x[id.y * p.x_stride + id.x];
}
