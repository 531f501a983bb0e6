// EXPERTS of many tokens, as matmul.wgsl, by the tiles of experts_pairs.wgsl.
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
  let tile = tile_of(id.y);
  let first_row = id.x * TILE_ROWS;
  let first = row_of(0u, tile.x, first_row);
  let n_rows = min(COUNT - first_row, TILE_ROWS);
  if (!is_needed(tile, first, n_rows)) {
    return;
  }
  // This invocation's rows are my_row + 16 i, its pairs my_pair + TILE_TOKENS / 4 i.
  let my_row = local % 16u;
  let my_pair = local / 16u;
  var products = array<vec4f, 4>();
  for (var b = 0u; b < (N_IN + 31u) / 32u; b++) {
    for (var i = local; i < 8u * TILE_ROWS; i += THREADS) {
      let word = word_of(0u, first + min(i / 8u, n_rows - 1u));
      tile_w[place(i / 8u, i % 8u)] = value(0u, word, b, i % 8u);
    }
    for (var i = local; i < 8u * TILE_TOKENS; i += THREADS) {
      var four = vec4f(0.0);
      if (i / 8u < tile.z) {
        let pair = pair_at(tile, i / 8u);
        four = input_from(pair / N_USED * X_STRIDE + pair % N_USED * EACH, b, i % 8u);
      }
      tile_x[place(i / 8u, i % 8u)] = four;
    }
    workgroupBarrier();
    for (var j = 0u; j < 8u; j++) {
      let x0 = tile_x[place(my_pair, j)];
      let x1 = tile_x[place(my_pair + TILE_TOKENS / 4u, j)];
      let x2 = tile_x[place(my_pair + TILE_TOKENS / 2u, j)];
      let x3 = tile_x[place(my_pair + TILE_TOKENS / 4u * 3u, j)];
      for (var r = 0u; r < 4u; r++) {
        let w = tile_w[place(my_row + 16u * r, j)];
        products[r] += vec4f(dot(w, x0), dot(w, x1), dot(w, x2), dot(w, x3));
      }
    }
    workgroupBarrier();
  }
  finish(tile, first_row, my_row, my_pair, products);
}
