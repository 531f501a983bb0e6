// Scores and weights of attend_split through workgroup memory. ROW_LANES is 16.

// Scores of positions [c, c + n), STEP at a time.
fn score(c: u32, n: u32, first_row: u32, kv_head: u32, lane: u32) {
  let part = lane % K_LANES;
  let slot = lane / K_LANES;
  for (var s = 0u; s < n; s += STEP) {
    let sums = products(s + slot, n, part, kv_head);
    for (var r = 0u; r < ROWS; r++) {
      room[part * ROOM_ROW + r * STEP + slot] = sums[r];
    }
    workgroupBarrier();
    for (var e = lane; e < ROWS * STEP; e += THREADS) {
      var sum = 0.0;
      for (var i = 0u; i < K_LANES; i++) {
        sum += room[i * ROOM_ROW + e];
      }
      let at = s + e % STEP;
      scores[e / STEP * CHUNK + at] = score_of(sum, first_row + e / STEP, kv_head, c + at);
    }
    workgroupBarrier();
  }
}

// Makes weights of n scores and returns their sum in the invocation's part of a row.
fn weigh(n: u32, lane: u32) -> f32 {
  let first = lane / ROW_LANES * CHUNK;
  let is_mine = lane < ROWS * ROW_LANES;
  if (is_mine) {
    var top = LOWEST;
    for (var i = lane % ROW_LANES; i < n; i += ROW_LANES) {
      top = max(top, scores[first + i]);
    }
    found[lane] = top;
  }
  workgroupBarrier();
  if (lane < ROWS) {
    var top = most[lane];
    for (var i = 0u; i < ROW_LANES; i++) {
      top = max(top, found[ROW_LANES * lane + i]);
    }
    keep[lane] = exp(max(most[lane] - top, -80));
    most[lane] = top;
  }
  workgroupBarrier();
  var sum = 0.0;
  if (is_mine) {
    let top = most[lane / ROW_LANES];
    for (var i = lane % ROW_LANES; i < n; i += ROW_LANES) {
      let z = scores[first + i];
      let weight = select(0, exp(max(z - top, -80)), z > LOWEST);
      scores[first + i] = weight;
      sum += weight;
    }
  }
  workgroupBarrier();
  return sum;
}
