// Heads on their way to the cache: what the kernels over them bind, and RoPE of one element of a query or a
// key. The kernel defines normed(kind, head, d, by): element d, normed.
// Queries, keys and values as the products gave them. 0: no norm, 1: without weight, 2: with weight.
override EPS: f32 = 0;
override Q_NORM: u32 = 0;
override K_NORM: u32 = 0;
override V_NORM: u32 = 0;
struct Params {
  table: u32,
  q_weight: u32,
  k_weight: u32,
}
@group(0) @binding(3) var<storage, read> k: array<f32>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
@group(0) @binding(5) var<storage, read> angles: array<vec2f>;
@group(0) @binding(6) var<storage, read> vectors: array<f32>;
@group(0) @binding(7) var<storage, read> pages: array<u32>;
@group(0) @binding(8) var<storage, read_write> kv: array<vec4u>;

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
