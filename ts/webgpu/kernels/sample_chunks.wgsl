// Sampling, first part: a chunk's best candidates, and what top-p needs of all others.
var<private> keys: array<u32, EACH>;

fn item_of(begin: u32, j: u32, t: u32) -> vec2u {
  let key = keys[j];
  return select(NONE, vec2u(key, begin + j * THREADS + t), key != 0u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) group: vec3u) {
  let begin = group.x * CHUNK;
  read_window(t);
  var n = 0u;
  for (var j = 0u; j < EACH; j++) {
    let item = candidate_of(begin + j * THREADS + t);
    keys[j] = item.x;
    n += select(0u, 1u, item.x != 0u);
  }
  atomicAdd(&n_present, n);
  select_best(begin, NONE, true, t);
  if (t < BEST) {
    candidates[t * p.n_chunks + group.x] = best[t];
  }
  var sum = 0.0;
  if (sampling.top_k == 0u && sampling.top_p < 1.0) {
    let top = logit_of(best[0].x);
    for (var j = 0u; j < EACH; j++) {
      let key = keys[j];
      let x = logit_of(key);
      if ((key != 0u) & !is_far(x, top, -104.0)) {
        sum += exp_scaled(x - top, 0);
      }
    }
  }
  sum = sum_of(sum, t);
  if (t == 0u) {
    chunks[group.x] = Chunk(atomicLoad(&flags), atomicLoad(&n_present), sum, 0u);
  }
}
