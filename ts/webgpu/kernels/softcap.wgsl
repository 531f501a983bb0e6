// SOFTCAP: y[t] = cap * tanh(y[t] / cap)
override WIDTH: u32;
override Y_STRIDE: u32;
override CAP: f32;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (4 * id.x >= WIDTH) {
    return;
  }
  let at = id.y * (Y_STRIDE / 4) + id.x;
  y[at] = select(y[at], capped(y[at], CAP), inside(id.x, WIDTH));
}
