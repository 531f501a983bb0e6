// COMBINE: y[t] = the sum over u, ascending, of weight u of route[t] times row u of x[t]; ADD: added to y[t].
override WIDTH: u32;
override N_USED: u32;
override ADD: bool = false;
override X_STRIDE: u32;
override ROUTE_STRIDE: u32;
override Y_STRIDE: u32;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> route: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (4 * id.x >= WIDTH) {
    return;
  }
  var sum = vec4f(0);
  for (var u = 0u; u < N_USED; u++) {
    sum += route[id.y * ROUTE_STRIDE + N_USED + u] * x[id.y * (X_STRIDE / 4) + u * (WIDTH / 4) + id.x];
  }
  let at = id.y * (Y_STRIDE / 4) + id.x;
  y[at] = select(sum, y[at] + sum, ADD);
}
