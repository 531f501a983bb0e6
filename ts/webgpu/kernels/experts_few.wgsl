// EXPERTS of a few tokens: each token reads the weights of the experts that it uses. As in matvec.wgsl, a
// workgroup has 64 / LANES teams, a team computes ROWS rows, and its lanes take groups of 32 in turn.
//
// COMBINE: the weighted sum over the chosen experts, whose groups the lanes take one expert after another.
// NORM: the input is norm(x). GLU: of gate and up, a team computes ROWS / 2 rows each. SHARED: behind the
// chosen experts comes one for all tokens, of COUNT2 rows, which has its matrices and its output for itself.
@group(0) @binding(5) var<storage, read> route: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
override ROUTE_STRIDE: u32;
override LANES: u32 = 32;
override EPS: f32 = 0.0;
override HAS_NORM_WEIGHT: bool = false;
override ADD: bool = false;
override COUNT2: u32 = 0;
override STRIDE2: u32 = 0;
override ROW_WORDS2: u32 = 0;
override ROW_WORDS3: u32 = 0;
const TEAM_ROWS = ROWS / (1u + GLU);
const ALL_VALUES = ROWS + NORM;

fn expert_of(t: u32, u: u32) -> u32 {
  if (ALL) {
    return u;
  }
  return min(u32(max(route[t * ROUTE_STRIDE + u], 0.0)), N_EXPERT - 1u);
}

fn weight_of(t: u32, u: u32) -> f32 {
  return route[t * ROUTE_STRIDE + N_USED + u];
}

// Four elements of the norm's weight, those that belong to input j of group b.
fn norm_part(b: u32, j: u32) -> vec4f {
  let at = p.norm + min(vec4u(32u * b + 4u * j) + vec4u(0u, 1u, 2u, 3u), vec4u(N_IN - 1u));
  return vec4f(vectors[at.x], vectors[at.y], vectors[at.z], vectors[at.w]);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) n: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let teams = 64u / LANES;
  // A workgroup has one chosen expert, or all, or the one for all tokens.
  let n_here = select(1u, N_USED, COMBINE == 1u);
  let n_z = N_USED / n_here + SHARED;
  let t = id.z / n_z;
  let first_u = id.z % n_z;
  let is_shared = SHARED == 1u && first_u == N_USED;
  let count = select(COUNT, COUNT2, is_shared);
  let first_of_all = (id.x + id.y * n.x) * teams * TEAM_ROWS;
  if (first_of_all >= count) {
    return;
  }
  let first = first_of_all + local / LANES * TEAM_ROWS;
  let n_groups = (N_IN + 31u) / 32u;
  var products = array<f32, ROWS>();
  var squares = 0.0;
  for (var i = local % LANES; i < n_here * n_groups; i += LANES) {
    let b = i % n_groups;
    let u = first_u + i / n_groups;
    let expert = expert_of(t, u);
    let x0 = t * X_STRIDE + u * EACH;
    var words = array<u32, ROWS>();
    var factors = array<vec4f, ROWS>();
    var groups = array<Codes, ROWS>();
    for (var r = 0u; r < ROWS; r++) {
      let row = min(first + r % TEAM_ROWS, count - 1u);
      stack = r / TEAM_ROWS;
      words[r] = word_of(stack, row_of(stack, expert, row));
      if (is_shared) {
        words[r] = select(p.word2 + row * ROW_WORDS2, p.word3 + row * ROW_WORDS3, stack == 1u);
        stack += 2u;
      }
      factors[r] = scales(stack, words[r], b);
      groups[r] = group(stack, words[r], b);
      if (COMBINE == 1u) {
        let factor = weight_of(t, u) * scale_of(0u, expert);
        factors[r] *= select(0.0, factor, is_held(0u, row_of(0u, expert, row)));
      }
    }
    for (var h = 0u; h < 2u; h++) {
      var sums = array<f32, ROWS>();
      var inputs = 0.0;
      for (var j = 4u * h; j < 4u * h + 4u; j++) {
        var four = input_from(x0, b, j);
        if (NORM == 1u) {
          squares += dot(four, four);
          if (HAS_NORM_WEIGHT) {
            four *= norm_part(b, j);
          }
        }
        inputs += dot(four, vec4f(1.0));
        for (var r = 0u; r < ROWS; r++) {
          stack = r / TEAM_ROWS + select(0u, 2u, is_shared);
          sums[r] += dot(part_of(groups[r], stack, words[r], b, j), four);
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        products[r] += factors[r][h] * sums[r];
        if (OFFSETS == 1u) {
          products[r] += factors[r][2u + h] * inputs;
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    share(r, local, products[r]);
  }
  if (NORM == 1u) {
    share(ROWS, local, squares);
  }
  workgroupBarrier();
  for (var i = local; i < teams * TEAM_ROWS; i += 64u) {
    let r = i % TEAM_ROWS;
    let team = i / TEAM_ROWS;
    let row = first_of_all + team * TEAM_ROWS + r;
    if (row >= count) {
      continue;
    }
    var sum = total(r, team, i);
    if (COMBINE == 1u) {
      for (var u = 0u; u < N_USED; u++) {
        let one = row_of(0u, expert_of(t, u), row);
        sum += select(0.0, weight_of(t, u), is_held(0u, one)) * bias_of(0u, one);
      }
      let at = t * STRIDE + row;
      y[at] = select(sum, y[at] + sum, ADD);
      continue;
    }
    let expert = expert_of(t, first_u);
    let row0 = row_of(0u, expert, row);
    var scale = 1.0;
    if (NORM == 1u) {
      scale = 1.0 / sqrt(total(ROWS, team, i) / f32(N_IN) + EPS);
    }
    if (is_shared) {
      put_shared(t * STRIDE2 + row, gated(vec4f(scale * sum), vec4f(scale * total(r + TEAM_ROWS, team, i))).x);
      continue;
    }
    if (!is_held(0u, row0)) {
      continue;
    }
    var value = scale * scale_of(0u, expert) * sum + bias_of(0u, row0);
    if (GLU == 1u) {
      let row1 = row_of(1u, expert, row);
      if (!is_held(1u, row1)) {
        continue;
      }
      let up = scale * scale_of(1u, expert) * total(r + TEAM_ROWS, team, i) + bias_of(1u, row1);
      value = gated(vec4f(value), vec4f(up)).x;
    }
    y[t * STRIDE + first_u * COUNT + row] = value;
  }
}
