// Products over inputs in q8 (quantize.wgsl). A workgroup computes a tile of 64 rows and TILE_TOKENS tokens, an
// invocation 4 x 4 of it, and goes along K in groups of 32 elements. The products of the codes are exact.
// SCALES is 1 where both halves of a group have the same scale, otherwise 2.
@group(0) @binding(3) var<storage, read> q: array<u32>;
const TILE_ROWS = 64u;
const THREADS = 4u * TILE_TOKENS;

// Half h of line i of a tile is at TILE_ROWS h + i, or TILE_TOKENS h + i.
var<workgroup> tile_w: array<vec4u, 2u * TILE_ROWS>;
var<workgroup> tile_x: array<vec4u, 2u * TILE_TOKENS>;
// Factor and offset of a half.
var<workgroup> scales_w: array<vec2f, 2u * TILE_ROWS>;
// The scale of a token's group, and the sum of the half's inputs.
var<workgroup> scales_x: array<vec2f, 2u * TILE_TOKENS>;

fn dot16(a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

// Makes half h of group b, in the row of matrix s that begins at word `row`, line i of the tile.
fn take_row(i: u32, h: u32, s: u32, row: u32, b: u32) {
  let j = 4u * h;
  tile_w[TILE_ROWS * h + i] =
    vec4u(word(s, row, b, j), word(s, row, b, j + 1u), word(s, row, b, j + 2u), word(s, row, b, j + 3u));
  let four = scale(s, row, b);
  scales_w[TILE_ROWS * h + i] = select(four.xz, four.yw, h == 1u);
}

// The same of inputs, whose codes of the half are the words from `at` on; their scale is word `scale_at`.
fn take_input(i: u32, h: u32, at: u32, scale_at: u32) {
  let codes = vec4u(q[at], q[at + 1u], q[at + 2u], q[at + 3u]);
  let d = bitcast<f32>(q[scale_at]);
  tile_x[TILE_TOKENS * h + i] = codes;
  scales_x[TILE_TOKENS * h + i] = vec2f(d, d * f32(dot16(codes, vec4u(0x01010101u))));
}

// Adds a group's products of rows my_row + 16 r and tokens my_token + TILE_TOKENS / 4 t.
fn multiply(my_row: u32, my_token: u32, products: ptr<function, array<vec4f, 4>>) {
  for (var r = 0u; r < 4u; r++) {
    let at = my_row + 16u * r;
    let w = tile_w[at];
    let w_scale = scales_w[at];
    let w1 = tile_w[TILE_ROWS + at];
    let w1_scale = scales_w[TILE_ROWS + at];
    for (var t = 0u; t < 4u; t++) {
      let column = my_token + TILE_TOKENS / 4u * t;
      let first = dot16(w, tile_x[column]);
      let second = dot16(w1, tile_x[TILE_TOKENS + column]);
      let x_scale = scales_x[column];
      var product = 0.0;
      if (SCALES == 1u) {
        product = w_scale.x * f32(first + second);
      } else {
        product = w_scale.x * f32(first) + w1_scale.x * f32(second);
      }
      product *= x_scale.x;
      if (OFFSETS == 1u) {
        product += w_scale.y * x_scale.y + w1_scale.y * scales_x[TILE_TOKENS + column].y;
      }
      (*products)[r][t] += product;
    }
  }
}
