// Sampling, second part: one workgroup merges the chunks' candidates and draws as src/session/sampler.c does.
// Weights are whole numbers: the best candidate has 2^25, and 64 of them fit 32 bits. So sums are exact, and
// one random number gives one token whatever the order of additions.
const SCALE: i32 = 25;

var<workgroup> last_round: atomic<u32>; // the last round that brought something better, from 1 on
var<workgroup> n_present: atomic<u32>;
var<workgroup> whole_sum: f32; // of exp(logit - best logit) of all tokens, if top-p needs it
var<workgroup> plain: array<u32, BEST>; // weights at temperature 1
var<workgroup> weights: array<u32, BEST>;
var<workgroup> drawn: array<u32, BEST>; // weights in the order of the draw
var<workgroup> order: array<u32, BEST>; // ranks in the order of the draw
var<workgroup> kept: u32;

// The upper 32 bits of the product.
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}

fn item_of(begin: u32, j: u32, t: u32) -> vec2u {
  let i = begin + j * THREADS + t;
  if (i < p.n_chunks * BEST) {
    return candidates[i];
  }
  return NONE;
}

// Candidates come by rank in their chunk. So the first round has the best of every chunk, and a later one
// brings mostly nothing better than the last of the best.
fn merge(t: u32) {
  if (t < BEST) {
    best[t] = NONE;
  }
  if (t == 0u) {
    atomicStore(&last_round, 0u);
    atomicStore(&flags, 0u);
    atomicStore(&n_present, 0u);
  }
  workgroupBarrier();
  for (var round = 0u; round * CHUNK < p.n_chunks * BEST; round++) {
    let begin = round * CHUNK;
    let last = best[BEST - 1u];
    for (var j = 0u; j < EACH; j++) {
      if (is_before(item_of(begin, j, t), last)) {
        atomicStore(&last_round, round + 1u);
      }
    }
    workgroupBarrier();
    var mine = NONE;
    if (t < BEST) {
      mine = best[t];
    }
    select_best(begin, mine, atomicLoad(&last_round) == round + 1u, t);
  }
}

// What the chunks say beside their candidates.
fn read_chunks(t: u32) {
  let top = logit_of(best[0].x);
  let needs_sum = sampling.top_k == 0u && sampling.top_p < 1.0;
  var sum = 0.0;
  for (var c = t; c < p.n_chunks; c += THREADS) {
    let chunk = chunks[c];
    atomicOr(&flags, chunk.flags);
    atomicAdd(&n_present, chunk.n);
    let own = logit_of(candidates[c].x);
    if (needs_sum && chunk.n > 0u && !is_far(own, top, -104.0)) {
      sum += chunk.sum * exp_scaled(own - top, 0);
    }
  }
  sum = sum_of(sum, t);
  if (t == 0u) {
    whole_sum = sum;
  }
}

fn weigh(t: u32) {
  let top = logit_of(best[0].x);
  let x = logit_of(best[t].x);
  plain[t] = 0u;
  weights[t] = 0u;
  if (best[t].x == 0u) {
    return;
  }
  if (!is_far(x, top, -104.0)) {
    plain[t] = u32(exp_scaled(x - top, SCALE) + 0.5);
  }
  if (!is_far(x, top, sampling.farthest)) {
    weights[t] = u32(exp_scaled(max((x - top) * sampling.inverse_temperature, -104.0), SCALE) + 0.5);
  }
}

// Returns how many of the best candidates top-k, top-p and min-p keep; 0: that depends on further ones.
fn count_kept() -> u32 {
  var n = 0u;
  var total = 0u;
  let most = select(BEST, min(sampling.top_k, BEST), sampling.top_k > 0u);
  while (n < most && best[n].x != 0u) {
    total += plain[n];
    n++;
  }
  var is_covered = atomicLoad(&n_present) <= BEST || (sampling.top_k > 0u && sampling.top_k <= BEST);
  if (sampling.top_p < 1.0) {
    let below = total * sampling.whole_top_p != 0u;
    let least_sum = multiply_high(total, sampling.whole_top_p) + select(0u, 1u, below);
    let share = sampling.top_p * ldexp(whole_sum, SCALE);
    var sum = 0u;
    for (var i = 0u; i < n; i++) {
      sum += plain[i];
      if (select(f32(sum) >= share, sum >= least_sum, is_covered)) {
        n = i + 1u;
        is_covered = true;
      }
    }
  }
  if (sampling.has_min_p != 0u) {
    let limit = logit_of(best[0].x) + sampling.log_min_p;
    var i = 0u;
    while (i < n && logit_of(best[i].x) >= limit) {
      i++;
    }
    is_covered = is_covered || i < n;
    n = i;
  }
  return select(0u, n, is_covered);
}

fn draw() -> u32 {
  var total = 0u;
  for (var i = 0u; i < kept; i++) {
    total += drawn[i];
  }
  let until = multiply_high(total, sampling.random);
  var sum = 0u;
  var i = 0u;
  while (i + 1u < kept) {
    sum += drawn[i];
    if (sum > until) {
      break;
    }
    i++;
  }
  return order[i];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32) {
  merge(t);
  read_chunks(t);
  if (t < BEST) {
    weigh(t);
  }
  workgroupBarrier();
  if (t == 0u) {
    kept = count_kept();
  }
  let n = workgroupUniformLoad(&kept);
  // The CPU doesn't sort all tokens to draw one: without top-k and top-p the draw is in the order of ids.
  if (t < n) {
    var at = t;
    if (sampling.top_k == 0u && sampling.top_p >= 1.0) {
      at = 0u;
      for (var i = 0u; i < n; i++) {
        at += select(0u, 1u, best[i].y < best[t].y);
      }
    }
    order[at] = t;
    drawn[at] = weights[t];
  }
  workgroupBarrier();
  if (t == 0u) {
    var faults = atomicLoad(&flags);
    if (best[0].x == 0u) {
      faults |= NO_CANDIDATE;
    } else if (n == 0u) {
      faults |= NOT_COVERED;
    }
    var token = NONE;
    if (faults == 0u) {
      token = best[draw()];
    }
    write(token, faults);
  }
}
