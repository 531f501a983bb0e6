// The queries of attend_split: ready in a slot.
override Q_STRIDE: u32;
override SCALE: f32;
@group(0) @binding(2) var<storage, read> q: array<f32>;

@group(0) @binding(4) var<storage, read> kv: array<vec4u>;

fn prepare(first_row: u32, kv_head: u32, is_last: bool, lane: u32) {
  for (var i = lane; i < ROWS * 2 * K8; i += THREADS) {
    let row = row_of(first_row + i / (2 * K8), kv_head);
    let at = row.x * Q_STRIDE + row.y * K_DIM;
    var z = vec4f(0);
    for (var k = 0u; k < 4; k++) {
      let d = 4 * (i % (2 * K8)) + k;
      if (d < K_DIM) {
        z[k] = SCALE * q[at + d];
      }
    }
    query[i] = z;
  }
}
