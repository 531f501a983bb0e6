// Sampling: the selection of the best candidates, and weights.

var<workgroup> least: vec2u;
var<workgroup> n_found: atomic<u32>;
var<workgroup> best: array<vec2u, BEST>;

// Writes the first BEST of all threads' candidates to `best`, in order, with NONE behind them: of `mine` and
// of item_of(base, j, t), which the kernel has, for each j below EACH. The threads' own firsts are ranked.
// Nothing behind the one of rank BEST - 1 can be among the best, and only BEST threads have candidates that
// aren't behind it. Those are ranked in turn. If the selection isn't needed, `best` stays. The barriers stay
// too: there are compilers that accept a barrier only where all threads visibly come.
fn select_best(base: u32, mine: vec2u, is_needed: bool, t: u32) {
  var first = mine;
  for (var j = 0u; j < EACH; j++) {
    let item = item_of(base, j, t);
    first = select(first, item, is_before(item, first));
  }
  pool[t] = first;
  if (is_needed & (t < BEST)) {
    best[t] = NONE;
  }
  if (t == 0u) {
    least = NONE;
    atomicStore(&n_found, 0u);
  }
  workgroupBarrier();
  var rank = 0u;
  let n_ranked = select(0u, THREADS, is_needed);
  for (var i = 0u; i < n_ranked; i++) {
    rank += select(0u, 1u, is_before(pool[i], first));
  }
  if ((rank == BEST - 1u) & (first.x != 0u)) {
    least = first;
  }
  workgroupBarrier();
  if (is_needed & !is_before(least, first)) {
    add_found(mine);
    for (var j = 0u; j < EACH; j++) {
      add_found(item_of(base, j, t));
    }
  }
  workgroupBarrier();
  let n = atomicLoad(&n_found);
  for (var i = t; i < n; i += THREADS) {
    let item = pool[i];
    var before = 0u;
    for (var k = 0u; k < n; k++) {
      before += select(0u, 1u, is_before(pool[k], item));
    }
    if (before < BEST) {
      best[before] = item;
    }
  }
  workgroupBarrier();
}

fn add_found(item: vec2u) {
  if ((item.x != 0u) & !is_before(least, item)) {
    pool[atomicAdd(&n_found, 1u)] = item;
  }
}

// Returns the sum of what the threads bring, in one order, to all of them.
fn sum_of(mine: f32, t: u32) -> f32 {
  pool[t] = vec2u(bitcast<u32>(mine), 0u);
  workgroupBarrier();
  if (t < 16u) {
    var sum = 0.0;
    for (var i = 0u; i < THREADS / 16u; i++) {
      sum += bitcast<f32>(pool[t * (THREADS / 16u) + i].x);
    }
    parts[t] = vec2u(bitcast<u32>(sum), 0u);
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) {
    sum += bitcast<f32>(parts[i].x);
  }
  return sum;
}

// Whether x lies so far below `best` that its weight rounds to 0. The difference itself may overflow.
fn is_far(x: f32, best: f32, farthest: f32) -> bool {
  return 0.5 * x - 0.5 * best < 0.5 * farthest;
}

// exp(t) times 2^scale for -104 <= t <= 0, with an error below 2^-22 of it: better than the built-in exp must
// be. t is cut into n ln 2 + r; the polynomial is Cephes' expf.
fn exp_scaled(t: f32, scale: i32) -> f32 {
  let n = round(t * 1.44269504);
  let r = (t - n * 0.693359375) + n * 2.12194440e-4;
  var y = 1.9875691500e-4 * r + 1.3981999507e-3;
  y = y * r + 8.3334519073e-3;
  y = y * r + 4.1665795894e-2;
  y = y * r + 1.6666665459e-1;
  y = y * r + 5.0000001201e-1;
  return ldexp((y * r * r + r) + 1.0, i32(n) + scale);
}
