// The queries of attend_split: ready in a slot.
override Q_STRIDE: u32;
override SCALE: f32;
struct Params {
  table: u32,
  sinks: u32,
}
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> pages: array<u32>;
@group(0) @binding(4) var<storage, read> kv: array<vec4u>;
@group(0) @binding(5) var<storage, read_write> partial: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read> vectors: array<f32>;

// One chunk writes the result itself.
const IS_DIRECT = true;

fn write_y(row: vec2u, d: u32, sum: f32, total: f32, most: f32) {
  y[row.x * Y_STRIDE + row.y * V_OUT + d] = sum * share(total, most, row.y);
}

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
