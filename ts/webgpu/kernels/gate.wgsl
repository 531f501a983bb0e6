// GATE: y[t] *= logistic(x[t][0])
override WIDTH: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (4 * id.x >= WIDTH) {
    return;
  }
  let at = id.y * (Y_STRIDE / 4) + id.x;
  let factor = 1 / (1 + exp(min(-x[id.y * X_STRIDE], 80)));
  y[at] = select(y[at], y[at] * factor, inside(id.x, WIDTH));
}
