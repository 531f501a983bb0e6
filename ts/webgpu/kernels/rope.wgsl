// ROPE in place, one pair of elements an invocation. An angle is a pair of cosine and sine. NEOX = 0 turns
// elements 2 i and 2 i + 1, NEOX = 1 elements i and i + n_rot / 2.
override N_HEAD: u32;
override HEAD_DIM: u32;
override PAIRS: u32;
override FIRST: u32;
override NEOX: u32;
override ANGLES_STRIDE: u32;
override STRIDE: u32;
@group(0) @binding(2) var<storage, read> angles: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= N_HEAD * PAIRS) {
    return;
  }
  let i = id.x % PAIRS;
  let head = id.y * STRIDE + id.x / PAIRS * HEAD_DIM + FIRST;
  let a = head + select(2 * i, i, NEOX == 1);
  let b = a + select(1, PAIRS, NEOX == 1);
  let turn = angles[id.y * (ANGLES_STRIDE / 2) + i];
  let z = vec2f(y[a], y[b]);
  y[a] = z.x * turn.x - z.y * turn.y;
  y[b] = z.x * turn.y + z.y * turn.x;
}
