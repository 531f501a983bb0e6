// Sampling at temperature 0, second part: the best candidate of all chunks.
@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32) {
  if (t == 0u) {
    atomicStore(&flags, 0u);
  }
  workgroupBarrier();
  var first = NONE;
  for (var c = t; c < p.n_chunks; c += THREADS) {
    let item = candidates[c];
    first = select(first, item, is_before(item, first));
    atomicOr(&flags, chunks[c].flags);
  }
  first = first_of(first, t);
  if (t == 0u) {
    write(first, atomicLoad(&flags) | select(0u, NO_CANDIDATE, first.x == 0u));
  }
}
