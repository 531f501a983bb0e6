// EMBED: out[t] = scale * the row of the matrix that the token names. A thread writes four elements. Tokens
// whose row isn't in this part of the matrix are left to the other parts' dispatches. A token that is an
// embedding has the id -1: its row is left alone, or row 0 where the table is PADDED.
struct Params {
  weights: u32,
  first_row: u32,
  n_rows: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
override ROW_WORDS: u32;
override STRIDE: u32;
override SCALE: f32 = 1.0;
override PADDED: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = 4u * id.x;
  if (first >= N_IN || id.y >= batch.n_tokens) {
    return;
  }
  var token = tokens[batch.first_position + id.y];
  if (PADDED == 1 && token == 0xffffffff) {
    token = 0;
  }
  if (token < p.first_row || token - p.first_row >= p.n_rows) {
    return;
  }
  let row = p.weights + (token - p.first_row) * ROW_WORDS;
  var four = SCALE * value(0u, row, first / 32u, first % 32u / 4u);
  for (var i = 0u; i < min(4u, N_IN - first); i++) {
    y[id.y * STRIDE + first + i] = four[i];
  }
}
