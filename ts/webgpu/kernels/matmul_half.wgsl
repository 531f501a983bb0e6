// MATMUL of many tokens whose inputs are f16 (halve.wgsl). A workgroup computes a tile of 64 rows and 64
// tokens, an invocation 4 x 4 of it. It goes along K in groups of 32 elements. Only what workgroup memory
// holds is f16: the inputs, and the weights' codes, which f16 has exactly. Products and sums are f32. SCALES
// is 1 where both halves of a group have the same scale, otherwise 2.
@group(0) @binding(3) var<storage, read> staged: array<vec4u>;
const TILE = 64u;

var<workgroup> tile_w: array<Half4, 8u * TILE>;
var<workgroup> tile_x: array<Half4, 8u * TILE>;
// Factors and offsets as scales() gives them.
var<workgroup> scales_w: array<vec4f, TILE>;
// The scale of a token's group, and the sums of both halves.
var<workgroup> scales_x: array<vec4f, TILE>;

// Where elements 4 j .. 4 j + 3 of a line are. Sixteen lines next to each other have the same j in other banks.
fn place(line: u32, j: u32) -> u32 {
  return 8u * line + (j ^ ((line / 2u) & 7u));
}
// Component i of scales_x for this invocation's tokens.
fn of_tokens(my_token: u32, i: u32) -> vec4f {
  return vec4f(scales_x[my_token][i], scales_x[my_token + 16u][i], scales_x[my_token + 32u][i],
    scales_x[my_token + 48u][i]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
  let segment = segment_of(id.x, TILE);
  if (segment.count == 0u) {
    return;
  }
  let n_tokens = n_rows();
  let groups = (N_IN + 31u) / 32u;
  let first_row = segment.tile * TILE;
  let first_token = id.y * TILE;
  let my_row = local % 16u;
  let my_token = local / 16u;
  // What the invocation brings into workgroup memory: a quarter of line i of both tiles.
  let i = local / 4u;
  let j0 = local % 4u * 2u;
  let row = segment.weights + min(first_row + i, segment.count - 1u) * segment.row_words;
  let token = min(first_token + i, n_tokens - 1u) * groups;
  var products = array<vec4f, 4>();
  for (var b = 0u; b < groups; b++) {
    let at = 5u * (token + b);
    let quarter = staged[at + j0 / 2u];
    tile_x[place(i, j0)] = half4_of(quarter.xy);
    tile_x[place(i, j0 + 1u)] = half4_of(quarter.zw);
    tile_w[place(i, j0)] = half4(part(segment.s, row, b, j0));
    tile_w[place(i, j0 + 1u)] = half4(part(segment.s, row, b, j0 + 1u));
    if (j0 == 0u) {
      scales_w[i] = scales(segment.s, row, b);
    } else if (j0 == 2u) {
      scales_x[i] = bitcast<vec4f>(staged[at + 4u]);
    }
    workgroupBarrier();
    let x_scales = of_tokens(my_token, 0u);
    for (var h = 0u; h < SCALES; h++) {
      var sums = array<vec4f, 4>();
      for (var j = 8u / SCALES * h; j < 8u / SCALES * (h + 1u); j++) {
        let x0 = floats(tile_x[place(my_token, j)]);
        let x1 = floats(tile_x[place(my_token + 16u, j)]);
        let x2 = floats(tile_x[place(my_token + 32u, j)]);
        let x3 = floats(tile_x[place(my_token + 48u, j)]);
        for (var r = 0u; r < 4u; r++) {
          let w = floats(tile_w[place(my_row + 16u * r, j)]);
          sums[r] += vec4f(dot(w, x0), dot(w, x1), dot(w, x2), dot(w, x3));
        }
      }
      for (var r = 0u; r < 4u; r++) {
        products[r] += scales_w[my_row + 16u * r][h] * (x_scales * sums[r]);
      }
    }
    if (OFFSETS == 1u) {
      let first = of_tokens(my_token, 1u);
      let second = of_tokens(my_token, 2u);
      for (var r = 0u; r < 4u; r++) {
        let four = scales_w[my_row + 16u * r];
        products[r] += four.z * first + four.w * second;
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
