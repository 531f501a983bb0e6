// Brings rows of the file into planes (MatrixPart in dispatch.ts): first the bodies of all blocks, the blocks
// without their d, then the d of all blocks, then zeros up to the next row. All lengths and places inside
// a row are in bytes. Rows without d are one block each.
struct Params {
  n_rows: u32,
  row_words: u32,
  n_blocks: u32,
  // Bytes of a block in the file, and of its body, which begins at byte body_at: the bytes of d if d is before it.
  block: u32,
  body: u32,
  body_at: u32,
  d_at: u32,
  // Bytes of a d, and of all.
  d: u32,
  all_d: u32,
  // The word of `file` and the word of `planes` with the first row.
  first_file: u32,
  first_planes: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> file: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;

// Byte i of row `row` of the planes.
fn byte(row: u32, i: u32) -> u32 {
  let bodies = p.n_blocks * p.body;
  var at = (i / p.body) * p.block + p.body_at + i % p.body;
  if (i >= bodies) {
    let j = i - bodies;
    if (j >= p.all_d) {
      return 0u;
    }
    at = (j / p.d) * p.block + p.d_at + j % p.d;
  }
  at += row * p.n_blocks * p.block;
  return (file[p.first_file + at / 4u] >> (at % 4u * 8u)) & 0xffu;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x / p.row_words;
  let i = 4u * (id.x % p.row_words);
  if (row >= p.n_rows) {
    return;
  }
  planes[p.first_planes + id.x] = byte(row, i) | (byte(row, i + 1u) << 8u) | (byte(row, i + 2u) << 16u)
    | (byte(row, i + 3u) << 24u);
}
