// RoPE of one element of a head of queries or keys. The kernel defines normed(kind, head, d, by): element d,
// normed.
// Pairs that turn, from element FIRST of a head. 0: none.
override PAIRS: u32 = 0;
override FIRST: u32 = 0;
override NEOX: u32 = 0;

// Element d, ready; the angles of its token begin at `turns`.
fn turned(kind: u32, head: u32, d: u32, by: f32, turns: u32) -> f32 {
  let z = normed(kind, head, d, by);
  let e = d - FIRST;
  if (d < FIRST || e >= 2 * PAIRS) {
    return z;
  }
  let is_second = select(e % 2 == 1, e >= PAIRS, NEOX == 1);
  let step = select(1, PAIRS, NEOX == 1);
  let other = normed(kind, head, select(d + step, d - step, is_second), by);
  let turn = angles[turns + select(e / 2, e % max(PAIRS, 1), NEOX == 1)];
  return z * turn.x + select(-other, other, is_second) * turn.y;
}
