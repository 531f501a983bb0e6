// MATMUL of a few tokens: each weight is read once for TOKENS tokens. A workgroup has 64 / LANES teams. A
// team computes ROWS rows; its lanes take the groups of 32 elements in turn.
//
// NORM: the input is norm(x), as the op NORM says. The lanes sum x^2 as they go, and the products are
// divided at the end. GLU: there are two segments of equal shape. A team computes ROWS / 2 rows of each,
// and writes activation(first) * second. before_plain.wgsl or before_sum.wgsl says what x is.
override LANES: u32 = 32;
override EPS: f32 = 0.0;
override HAS_NORM_WEIGHT: bool = false;
const VALUES = ROWS * TOKENS;
// Values that are summed over a team's lanes: products, then squares.
const ALL_VALUES = VALUES + NORM * TOKENS;
// Rows of a segment that a team computes.
const TEAM_ROWS = ROWS / (1u + GLU);

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) n: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let teams = 64u / LANES;
  let segment = segment_of(id.x + id.y * n.x, teams * TEAM_ROWS);
  if (segment.count == 0u) {
    return;
  }
  let first_token = id.z * TOKENS;
  let n_tokens = min(n_rows() - min(n_rows(), first_token), TOKENS);
  before(local, first_token, n_tokens);
  let first = (segment.tile * teams + local / LANES) * TEAM_ROWS;
  var segments = array<u32, ROWS>();
  var rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    let row = min(first + r % TEAM_ROWS, segment.count - 1u);
    segments[r] = segment.s + r / TEAM_ROWS;
    rows[r] = segment.weights + row * segment.row_words;
    if (r >= TEAM_ROWS) {
      rows[r] = p.weights1 + row * ROW_WORDS1;
    }
  }
  var products = array<f32, VALUES>();
  var squares = array<f32, TOKENS>();
  for (var b = local % LANES; b < (N_IN + 31u) / 32u; b += LANES) {
    var factors = array<vec4f, ROWS>();
    var groups = array<Codes, ROWS>();
    for (var r = 0u; r < ROWS; r++) {
      factors[r] = scales(segments[r], rows[r], b);
      groups[r] = group(segments[r], rows[r], b);
    }
    for (var h = 0u; h < 2u; h++) {
      // Without initialisers Tint's SPIR-V keeps the last turn's values.
      var sums = array<f32, VALUES>();
      var inputs = array<f32, TOKENS>();
      for (var j = 4u * h; j < 4u * h + 4u; j++) {
        var parts = array<vec4f, ROWS>();
        for (var r = 0u; r < ROWS; r++) {
          parts[r] = part_of(groups[r], segments[r], rows[r], b, j);
        }
        for (var t = 0u; t < TOKENS; t++) {
          if (t < n_tokens) {
            var four = whole_input(segment.s + segment.tile + local / LANES == 0u, t, first_token + t, b, j);
            if (NORM == 1u) {
              squares[t] += dot(four, four);
              if (HAS_NORM_WEIGHT) {
                four *= vector_part(p.norm, b, j);
              }
            }
            inputs[t] += dot(four, vec4f(1.0));
            for (var r = 0u; r < ROWS; r++) {
              sums[r * TOKENS + t] += dot(parts[r], four);
            }
          }
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        for (var t = 0u; t < TOKENS; t++) {
          products[r * TOKENS + t] += factors[r][h] * sums[r * TOKENS + t];
          if (OFFSETS == 1u) {
            products[r * TOKENS + t] += factors[r][2u + h] * inputs[t];
          }
        }
      }
    }
  }
  for (var v = 0u; v < VALUES; v++) {
    share(v, local, products[v]);
  }
  if (NORM == 1u) {
    for (var t = 0u; t < TOKENS; t++) {
      share(VALUES + t, local, squares[t]);
    }
  }
  workgroupBarrier();
  for (var i = local; i < teams * TEAM_ROWS * TOKENS; i += 64u) {
    let t = i % TOKENS;
    let r = i / TOKENS % TEAM_ROWS;
    let team = i / TOKENS / TEAM_ROWS;
    let row = (segment.tile * teams + team) * TEAM_ROWS + r;
    if (row < segment.count && t < n_tokens) {
      var scale = 1.0;
      if (NORM == 1u) {
        scale = 1.0 / sqrt(total(VALUES + t, team, i) / f32(N_IN) + EPS);
      }
      var product = scale * total(r * TOKENS + t, team, i);
      if (GLU == 1u) {
        let gate = biased(product, segment.has_bias, segment.bias + row);
        let up = biased(scale * total((r + TEAM_ROWS) * TOKENS + t, team, i), BIAS1, p.bias1 + row);
        put(0u, (first_token + t) * segment.stride + segment.out + row, gated(vec4f(gate), vec4f(up)).x);
      } else {
        finish(segment, row, first_token + t, product);
      }
    }
  }
}
