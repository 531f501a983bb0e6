// MATMUL of a few tokens: each weight is read once for TOKENS tokens. A workgroup has 64 / LANES teams. A team
// computes ROWS rows; its lanes take the groups of 32 elements in turn.
override LANES: u32 = 32;
const VALUES = ROWS * TOKENS;

var<workgroup> partials: array<f32, 64u * VALUES>;

// The sum of value v over a team's lanes. Threads begin at different lanes, hence in different banks.
fn total(v: u32, team: u32, begin: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += partials[64u * v + team * LANES + (begin + i) % LANES];
  }
  return sum;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) n: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let teams = 64u / LANES;
  let segment = segment_of(id.x + id.y * n.x, teams * ROWS);
  if (segment.count == 0u) {
    return;
  }
  let first_token = id.z * TOKENS;
  let n_tokens = min(n_rows() - min(n_rows(), first_token), TOKENS);
  let first = (segment.tile * teams + local / LANES) * ROWS;
  var rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    rows[r] = segment.weights + min(first + r, segment.count - 1u) * segment.row_words;
  }
  var products = array<f32, VALUES>();
  for (var b = local % LANES; b < (N_IN + 31u) / 32u; b += LANES) {
    var factors = array<vec4f, ROWS>();
    for (var r = 0u; r < ROWS; r++) {
      factors[r] = scales(segment.s, rows[r], b);
    }
    for (var h = 0u; h < 2u; h++) {
      // Without initialisers Tint's SPIR-V keeps the last turn's values.
      var sums = array<f32, VALUES>();
      var inputs = array<f32, TOKENS>();
      for (var j = 4u * h; j < 4u * h + 4u; j++) {
        var parts = array<vec4f, ROWS>();
        for (var r = 0u; r < ROWS; r++) {
          parts[r] = part(segment.s, rows[r], b, j);
        }
        for (var t = 0u; t < TOKENS; t++) {
          if (t < n_tokens) {
            let four = input(first_token + t, b, j);
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
    partials[64u * v + local] = products[v];
  }
  workgroupBarrier();
  for (var i = local; i < teams * VALUES; i += 64u) {
    let v = i % VALUES;
    let row = (segment.tile * teams + i / VALUES) * ROWS + v / TOKENS;
    if (row < segment.count && v % TOKENS < n_tokens) {
      finish(segment, row, first_token + v % TOKENS, total(v, i / VALUES, i));
    }
  }
}
