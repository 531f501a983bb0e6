// GLU: y[t] = activation(gate[t]) * up[t][FIRST..]
override WIDTH: u32;
override FIRST: u32;
override GATE_STRIDE: u32;
override UP_STRIDE: u32;
override Y_STRIDE: u32;
@group(0) @binding(2) var<storage, read> gate: array<vec4f>;
@group(0) @binding(3) var<storage, read> up: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (4 * id.x >= WIDTH) {
    return;
  }
  let at = id.y * (Y_STRIDE / 4) + id.x;
  let z = gated(gate[id.y * (GATE_STRIDE / 4) + id.x], up[id.y * (UP_STRIDE / 4) + FIRST / 4 + id.x]);
  y[at] = select(y[at], z, inside(id.x, WIDTH));
}
