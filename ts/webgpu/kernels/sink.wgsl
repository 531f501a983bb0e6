// An attention sink: a logit of each head, from element p.sinks of `vectors`, that takes weight in the
// softmax and has no value.
override HAS_SINKS: u32 = 0;

// What the sums of a row of `head` are multiplied by at the end. `most` is the largest score, `total` the
// sum of exp(score - most).
fn share(total: f32, most: f32, head: u32) -> f32 {
  if (HAS_SINKS == 0) {
    return 1 / total;
  }
  let sink = vectors[p.sinks + head];
  let top = max(most, sink);
  let keep = exp(max(most - top, -80));
  return keep / (total * keep + exp(max(sink - top, -80)));
}
