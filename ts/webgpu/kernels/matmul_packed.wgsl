// MATMUL of many tokens whose inputs are q8, by the tiles of packed.wgsl.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
  let segment = segment_of(id.x, TILE_ROWS);
  if (segment.count == 0u) {
    return;
  }
  let n_tokens = n_rows();
  let first_row = segment.tile * TILE_ROWS;
  let first_token = id.y * TILE_TOKENS;
  let my_row = local % 16u;
  let my_token = local / 16u;
  // Half of the invocations read rows, the others tokens: line i and half h of it.
  let i = local / 2u % TILE_ROWS;
  let h = local % 2u;
  let row = segment.weights + min(first_row + i, segment.count - 1u) * segment.row_words;
  let token = min(first_token + i, n_tokens - 1u) * (N_IN / 4u + N_IN / 32u);
  var products = array<vec4f, 4>();
  for (var b = 0u; b < N_IN / 32u; b++) {
    if (local < 2u * TILE_ROWS) {
      take_row(i, h, segment.s, row, b);
    } else {
      take_input(i, h, token + 8u * b + 4u * h, token + N_IN / 4u + b);
    }
    workgroupBarrier();
    multiply(my_row, my_token, &products);
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    for (var t = 0u; t < 4u; t++) {
      let to_row = first_row + my_row + 16u * r;
      let to_token = first_token + my_token + TILE_TOKENS / 4u * t;
      if (to_row < segment.count && to_token < n_tokens) {
        finish(segment, to_row, to_token, products[r][t]);
      }
    }
  }
}
