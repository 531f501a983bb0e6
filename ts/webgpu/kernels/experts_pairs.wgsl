// The tiles of EXPERTS of many tokens: 64 rows of one expert and up to TILE_TOKENS of the pairs of a token and an
// expert that experts_table.wgsl found for it. With ALL the pairs of an expert are known.
@group(0) @binding(5) var<storage, read> table: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
override MOST_TILES: u32;

// Expert, first pair and number of pairs of a tile. The pairs of ALL are numbered by token.
fn tile_of(number: u32) -> vec3u {
  if (ALL) {
    let per = (batch.n_tokens + TILE_TOKENS - 1u) / TILE_TOKENS;
    let first = number % per * TILE_TOKENS;
    return vec3u(number / per, first, min(batch.n_tokens - first, TILE_TOKENS));
  }
  return vec3u(table[3u * number], table[3u * number + 1u], table[3u * number + 2u]);
}

fn pair_at(tile: vec3u, k: u32) -> u32 {
  if (ALL) {
    return (tile.y + k) * N_USED + tile.x;
  }
  return table[3u * MOST_TILES + tile.y + k];
}

// Whether a tile has pairs, and the part that is bound one of its rows from number `first` on.
fn is_needed(tile: vec3u, first: u32, n_rows: u32) -> bool {
  return tile.z > 0u && (PARTED == 0u || (first < p.begin0 + p.held0 && first + n_rows > p.begin0));
}

// Writes the products of rows my_row + 16 r and pairs my_pair + TILE_TOKENS / 4 i.
fn finish(tile: vec3u, first_row: u32, my_row: u32, my_pair: u32, products: array<vec4f, 4>) {
  let scale = scale_of(0u, tile.x);
  for (var r = 0u; r < 4u; r++) {
    let row = first_row + my_row + 16u * r;
    let number = row_of(0u, tile.x, row);
    if (row >= COUNT || !is_held(0u, number)) {
      continue;
    }
    let bias = bias_of(0u, number);
    for (var i = 0u; i < 4u; i++) {
      let k = my_pair + TILE_TOKENS / 4u * i;
      if (k < tile.z) {
        let pair = pair_at(tile, k);
        y[pair / N_USED * STRIDE + pair % N_USED * COUNT + row] = scale * products[r][i] + bias;
      }
    }
  }
}
