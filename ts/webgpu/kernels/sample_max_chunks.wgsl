// Sampling at temperature 0, first part: a chunk's best candidate.
@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) group: vec3u) {
  read_window(t);
  var first = NONE;
  for (var j = 0u; j < EACH; j++) {
    let item = candidate_of(group.x * CHUNK + j * THREADS + t);
    first = select(first, item, is_before(item, first));
  }
  first = first_of(first, t);
  if (t == 0u) {
    candidates[group.x] = first;
    chunks[group.x] = Chunk(atomicLoad(&flags), 0u, 0.0, 0u);
  }
}
