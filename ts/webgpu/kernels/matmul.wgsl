// MATMUL of many tokens. A workgroup computes a tile of 64 rows and TILE_TOKENS tokens, an invocation 4 x
// 4 of it. It goes along K in groups of 32 elements, which it brings into workgroup memory first.
const TILE_ROWS = 64u;
const THREADS = 4u * TILE_TOKENS;

var<workgroup> tile_w: array<vec4f, 8u * TILE_ROWS>;
var<workgroup> tile_x: array<vec4f, 8u * TILE_TOKENS>;

// Where elements 4 j .. 4 j + 3 of a line are. Eight lines next to each other have the same j in other banks.
fn place(line: u32, j: u32) -> u32 {
  return 8u * line + (j ^ (line & 7u));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
  let segment = segment_of(id.x, TILE_ROWS);
  if (segment.count == 0u) {
    return;
  }
  let n_tokens = n_rows();
  let first_row = segment.tile * TILE_ROWS;
  let first_token = id.y * TILE_TOKENS;
  // This invocation's rows are my_row + 16 i, its tokens my_token + TILE_TOKENS / 4 i.
  let my_row = local % 16u;
  let my_token = local / 16u;
  var products = array<vec4f, 4>();
  for (var b = 0u; b < (N_IN + 31u) / 32u; b++) {
    for (var i = local; i < 8u * TILE_ROWS; i += THREADS) {
      let row = segment.weights + min(first_row + i / 8u, segment.count - 1u) * segment.row_words;
      tile_w[place(i / 8u, i % 8u)] = value(segment.s, row, b, i % 8u);
    }
    for (var i = local; i < 8u * TILE_TOKENS; i += THREADS) {
      let t = first_token + i / 8u;
      var four = vec4f(0.0);
      if (t < n_tokens) {
        four = input(t, b, i % 8u);
      }
      tile_x[place(i / 8u, i % 8u)] = four;
    }
    workgroupBarrier();
    for (var j = 0u; j < 8u; j++) {
      let x0 = tile_x[place(my_token, j)];
      let x1 = tile_x[place(my_token + TILE_TOKENS / 4u, j)];
      let x2 = tile_x[place(my_token + TILE_TOKENS / 2u, j)];
      let x3 = tile_x[place(my_token + TILE_TOKENS / 4u * 3u, j)];
      for (var r = 0u; r < 4u; r++) {
        let w = tile_w[place(my_row + 16u * r, j)];
        products[r] += vec4f(dot(w, x0), dot(w, x1), dot(w, x2), dot(w, x3));
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    let row = first_row + my_row + 16u * r;
    for (var i = 0u; i < 4u; i++) {
      let t = first_token + my_token + TILE_TOKENS / 4u * i;
      if (row < segment.count && t < n_tokens) {
        finish(segment, row, t, products[r][i]);
      }
    }
  }
}
