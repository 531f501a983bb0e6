// Scores and weights of attend_split by shuffles: no barrier between steps. No subgroup is smaller than
// K_LANES or ROW_LANES, and invocations that follow each other in a workgroup do so in a subgroup.

// Scores of positions [c, c + n), STEP at a time.
fn score(c: u32, n: u32, first_row: u32, kv_head: u32, lane: u32) {
  let part = lane % K_LANES;
  for (var s = 0u; s < n; s += STEP) {
    let at = s + lane / K_LANES;
    let sums = products(at, n, part, kv_head);
    for (var r = 0u; r < ROWS; r++) {
      var sum = sums[r];
      for (var other = 1u; other < K_LANES; other <<= 1) {
        sum += subgroupShuffleXor(sum, other);
      }
      if (part == r % K_LANES) {
        scores[r * CHUNK + at] = score_of(sum, first_row + r, kv_head, c + at);
      }
    }
  }
  workgroupBarrier();
}

// Makes weights of n scores and returns their sum in the invocation's part of a row. The first invocation of a
// row writes `most` after all of them have read it, because its top is made of theirs.
fn weigh(n: u32, lane: u32) -> f32 {
  let row = lane / ROW_LANES;
  let first = row * CHUNK + lane % ROW_LANES;
  let end = row * CHUNK + select(0, n, row < ROWS);
  var before = LOWEST;
  if (row < ROWS) {
    before = most[row];
  }
  var top = before;
  for (var i = first; i < end; i += ROW_LANES) {
    top = max(top, scores[i]);
  }
  for (var other = 1u; other < ROW_LANES; other <<= 1) {
    top = max(top, subgroupShuffleXor(top, other));
  }
  var sum = 0.0;
  for (var i = first; i < end; i += ROW_LANES) {
    let weight = select(0, exp(max(scores[i] - top, -80)), scores[i] > LOWEST);
    scores[i] = weight;
    sum += weight;
  }
  if (row < ROWS && lane % ROW_LANES == 0) {
    keep[row] = exp(max(before - top, -80));
    most[row] = top;
  }
  workgroupBarrier();
  return sum;
}
