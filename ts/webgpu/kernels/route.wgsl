// ROUTE: which experts a token uses, and their weights; a token a workgroup. Each expert's rank is counted
// among all, so ties and order need no sorting.
override N_USED: u32;
override GATING: u32; // 1 softmax, 2 sigmoid, 3 softmax over the chosen ones
override N_GROUPS: u32 = 1;
override N_GROUPS_USED: u32 = 0;
override NORMALISED: bool = false;
override SCALE: f32 = 1;
override X_STRIDE: u32;
override Y_STRIDE: u32;
struct Params {
  bias: u32, // a place in `vectors`, or 0xffffffff
  factors: u32, // the same
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> vectors: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const LOWEST = -3.0e38;
var<workgroup> chances: array<f32, N_EXPERT>;
// What the choice compares: chances and the bias.
var<workgroup> scores: array<f32, N_EXPERT>;
var<workgroup> groups: array<f32, N_EXPERT>;
var<workgroup> chosen: array<u32, 32>;

fn largest_chance() -> f32 {
  var most = LOWEST;
  for (var e = 0u; e < N_EXPERT; e++) {
    most = max(most, chances[e]);
  }
  return most;
}

// The sum of a group's two best scores.
fn score_of_group(g: u32) -> f32 {
  var best = vec2f(LOWEST);
  let size = N_EXPERT / N_GROUPS;
  for (var e = g * size; e < (g + 1) * size; e++) {
    let score = scores[e];
    best = select(vec2f(best.x, max(best.y, score)), vec2f(score, best.x), score > best.x);
  }
  return best.x + select(0, best.y, size > 1);
}

// How many groups are better than group g; of equal ones the lower is.
fn rank_of_group(g: u32) -> u32 {
  var rank = 0u;
  for (var other = 0u; other < N_GROUPS; other++) {
    rank += u32(groups[other] > groups[g] || (groups[other] == groups[g] && other < g));
  }
  return rank;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let t = id.x;
  for (var e = lane; e < N_EXPERT; e += 256) {
    chances[e] = x[t * X_STRIDE + e];
  }
  if (lane < 32) {
    chosen[lane] = 0;
  }
  workgroupBarrier();
  let most = largest_chance();
  workgroupBarrier();
  if (GATING == 1) {
    for (var e = lane; e < N_EXPERT; e += 256) {
      chances[e] = exp(chances[e] - most);
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var e = 0u; e < N_EXPERT; e++) {
      sum += chances[e];
    }
    workgroupBarrier();
    for (var e = lane; e < N_EXPERT; e += 256) {
      chances[e] /= sum;
    }
  } else if (GATING == 2) {
    for (var e = lane; e < N_EXPERT; e += 256) {
      chances[e] = 1 / (1 + exp(min(-chances[e], 80)));
    }
  }
  for (var e = lane; e < N_EXPERT; e += 256) {
    scores[e] = chances[e];
    if (p.bias != 0xffffffff) {
      scores[e] += vectors[p.bias + e];
    }
  }
  workgroupBarrier();
  if (N_GROUPS > 1) {
    for (var g = lane; g < N_GROUPS; g += 256) {
      groups[g] = score_of_group(g);
    }
    workgroupBarrier();
    for (var e = lane; e < N_EXPERT; e += 256) {
      if (rank_of_group(e / (N_EXPERT / N_GROUPS)) >= N_GROUPS_USED) {
        scores[e] = LOWEST;
      }
    }
    workgroupBarrier();
  }
  for (var e = lane; e < N_EXPERT; e += 256) {
    var rank = 0u;
    for (var other = 0u; other < N_EXPERT; other++) {
      rank += u32(scores[other] > scores[e] || (scores[other] == scores[e] && other < e));
    }
    if (rank < N_USED) {
      chosen[rank] = e;
    }
  }
  workgroupBarrier();
  if (lane < N_USED) {
    var best = LOWEST;
    for (var u = 0u; u < N_USED; u++) {
      best = max(best, chances[chosen[u]]);
    }
    var weight = chances[chosen[lane]];
    var sum = 0.0;
    for (var u = 0u; u < N_USED; u++) {
      let chance = chances[chosen[u]];
      sum += select(chance, exp(chance - best), GATING == 3);
    }
    if (GATING == 3) {
      weight = exp(weight - best) / sum;
      sum = 1;
    }
    if (NORMALISED) {
      weight /= max(sum, 6.103515625e-5);
    }
    if (p.factors != 0xffffffff) {
      weight *= vectors[p.factors + chosen[lane]];
    }
    y[t * Y_STRIDE + lane] = f32(chosen[lane]);
    y[t * Y_STRIDE + N_USED + lane] = weight * SCALE;
  }
}
