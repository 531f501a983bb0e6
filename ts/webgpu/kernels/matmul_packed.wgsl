// MATMUL of many tokens whose inputs are q8 (quantize.wgsl). A workgroup computes a tile of 64 rows and 64
// tokens, an invocation 4 x 4 of it. It goes along K in groups of 32 elements. The products of the codes
// are exact. SCALES is 1 where both halves of a group have the same scale, otherwise 2.
@group(0) @binding(3) var<storage, read> q: array<u32>;
const TILE = 64u;

// Half h of line i of a tile is at TILE h + i.
var<workgroup> tile_w: array<vec4u, 2u * TILE>;
var<workgroup> tile_x: array<vec4u, 2u * TILE>;
// Factor and offset of a half.
var<workgroup> scales_w: array<vec2f, 2u * TILE>;
// The scale of a token's group, and the sum of the half's inputs.
var<workgroup> scales_x: array<vec2f, 2u * TILE>;

fn dot16(a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
  let segment = segment_of(id.x, TILE);
  if (segment.count == 0u) {
    return;
  }
  let n_tokens = n_rows();
  let first_row = segment.tile * TILE;
  let first_token = id.y * TILE;
  let my_row = local % 16u;
  let my_token = local / 16u;
  // Half of the invocations read rows, the others tokens: line i and half h of it.
  let i = local / 2u % TILE;
  let h = local % 2u;
  let row = segment.weights + min(first_row + i, segment.count - 1u) * segment.row_words;
  let token = min(first_token + i, n_tokens - 1u) * (N_IN / 4u + N_IN / 32u);
  var products = array<vec4f, 4>();
  for (var b = 0u; b < N_IN / 32u; b++) {
    if (local < 128u) {
      let j = 4u * h;
      tile_w[TILE * h + i] = vec4u(word(segment.s, row, b, j), word(segment.s, row, b, j + 1u),
        word(segment.s, row, b, j + 2u), word(segment.s, row, b, j + 3u));
      let four = scale(segment.s, row, b);
      scales_w[TILE * h + i] = select(four.xz, four.yw, h == 1u);
    } else {
      let at = token + 8u * b + 4u * h;
      let codes = vec4u(q[at], q[at + 1u], q[at + 2u], q[at + 3u]);
      let d = bitcast<f32>(q[token + N_IN / 4u + b]);
      tile_x[TILE * h + i] = codes;
      scales_x[TILE * h + i] = vec2f(d, d * f32(dot16(codes, vec4u(0x01010101u))));
    }
    workgroupBarrier();
    for (var r = 0u; r < 4u; r++) {
      let at = my_row + 16u * r;
      let w = tile_w[at];
      let w_scale = scales_w[at];
      let w1 = tile_w[TILE + at];
      let w1_scale = scales_w[TILE + at];
      for (var t = 0u; t < 4u; t++) {
        let column = my_token + 16u * t;
        let first = dot16(w, tile_x[column]);
        let second = dot16(w1, tile_x[TILE + column]);
        let x_scale = scales_x[column];
        var product = 0.0;
        if (SCALES == 1u) {
          product = w_scale.x * f32(first + second);
        } else {
          product = w_scale.x * f32(first) + w1_scale.x * f32(second);
        }
        product *= x_scale.x;
        if (OFFSETS == 1u) {
          product += w_scale.y * x_scale.y + w1_scale.y * scales_x[TILE + column].y;
        }
        products[r][t] += product;
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    for (var t = 0u; t < 4u; t++) {
      let to_row = first_row + my_row + 16u * r;
      let to_token = first_token + my_token + 16u * t;
      if (to_row < segment.count && to_token < n_tokens) {
        finish(segment, to_row, to_token, products[r][t]);
      }
    }
  }
}
