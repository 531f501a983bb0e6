// EXPERTS of many tokens whose inputs are q8, by the tiles of packed.wgsl and experts_pairs.wgsl. WIDTH is the
// number of a token's inputs: N_IN, or those of all its chosen experts.
override WIDTH: u32;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
  let tile = tile_of(id.y);
  let first_row = id.x * TILE_ROWS;
  let first = row_of(0u, tile.x, first_row);
  let n_rows = min(COUNT - first_row, TILE_ROWS);
  if (!is_needed(tile, first, n_rows)) {
    return;
  }
  let my_row = local % 16u;
  let my_pair = local / 16u;
  // Each invocation reads half h of row i, and of pair i if there is one.
  let i = local / 2u;
  let h = local % 2u;
  let row = word_of(0u, first + min(i, n_rows - 1u));
  let pair = pair_at(tile, min(i, tile.z - 1u));
  let token = pair / N_USED * (WIDTH / 4u + WIDTH / 32u);
  let codes = token + pair % N_USED * EACH + 4u * h;
  let scales = token + WIDTH / 4u + pair % N_USED * EACH / 8u;
  var products = array<vec4f, 4>();
  for (var b = 0u; b < N_IN / 32u; b++) {
    take_row(i, h, 0u, row, b);
    if (i < TILE_TOKENS) {
      take_input(i, h, codes + 8u * b, scales + b);
    }
    workgroupBarrier();
    multiply(my_row, my_pair, &products);
    workgroupBarrier();
  }
  finish(tile, first_row, my_row, my_pair, products);
}
