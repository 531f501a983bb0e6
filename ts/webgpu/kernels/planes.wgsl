// Brings rows of the file into planes (MatrixPart in dispatch.ts): first the bodies of all blocks, the blocks
// without their d, then the d of all blocks, then zeros up to the next row. All lengths and places inside
// a row are in halves of two bytes. Rows without d are one block each.
struct Params {
  n_rows: u32,
  row_words: u32,
  n_blocks: u32,
  // Halves of a block in the file, and of its body, which begins at half body_at: 1 if d is before it.
  block: u32,
  body: u32,
  body_at: u32,
  d_at: u32,
  // n_blocks, or 0.
  n_d: u32,
  // The word of `file` and the word of `planes` with the first row.
  first_file: u32,
  first_planes: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> file: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;

// Half i of row `row` of the planes.
fn half(row: u32, i: u32) -> u32 {
  let bodies = p.n_blocks * p.body;
  var at = (i / p.body) * p.block + p.body_at + i % p.body;
  if (i >= bodies) {
    if (i - bodies >= p.n_d) {
      return 0u;
    }
    at = (i - bodies) * p.block + p.d_at;
  }
  at += row * p.n_blocks * p.block;
  return (file[p.first_file + at / 2u] >> (at % 2u * 16u)) & 0xffffu;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x / p.row_words;
  let word = id.x % p.row_words;
  if (row >= p.n_rows) {
    return;
  }
  planes[p.first_planes + id.x] = half(row, 2u * word) | (half(row, 2u * word + 1u) << 16u);
}
