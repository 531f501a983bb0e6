// ATTEND, one head of one token a workgroup: page after page with an online softmax. An invocation scores
// half a key, then sums some elements of the values.
override N_HEAD: u32;
override V_OUT: u32;
override WINDOW: u32;
override SCALE: f32;
override CAP: f32;
override Q_STRIDE: u32;
override Y_STRIDE: u32;
struct Params {
  table: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> pages: array<u32>;
@group(0) @binding(4) var<storage, read> kv: array<vec4u>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const K_EIGHTS = (MOST_K + 7) / 8;
const LOWEST = -3.0e38;
var<workgroup> query: array<mat2x4f, K_EIGHTS>;
var<workgroup> halves: array<f32, 64>;
var<workgroup> scores: array<f32, 32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x / (N_HEAD / N_KV);
  let position = batch.first_position + group.y;
  var begin = 0u;
  if (WINDOW > 0 && position >= WINDOW) {
    begin = position - WINDOW + 1;
  }
  let q0 = group.y * Q_STRIDE + group.x * K_DIM;
  for (var i = lane; i < 8 * K_EIGHTS; i += 64) {
    var z = 0.0;
    if (i < K_DIM) {
      z = q[q0 + i] * SCALE;
    }
    query[i / 8][i / 4 % 2][i % 4] = z;
  }
  const N_SUMS = (MOST_V + 63) / 64;
  var sums: array<f32, N_SUMS>;
  var most = LOWEST;
  var total = 0.0;
  workgroupBarrier();
  for (var page = begin / 32; page <= position / 32; page++) {
    let number = pages[p.table + page];
    let token = lane % 32;
    let keys = keys_at(number, head);
    var score = 0.0;
    for (var i = lane / 32; i < K_EIGHTS; i += 2) {
      let k = kv_eight(keys, K_DIM, token, i);
      score += dot(k[0], query[i][0]) + dot(k[1], query[i][1]);
    }
    halves[lane] = score;
    workgroupBarrier();
    if (lane < 32) {
      score += halves[lane + 32];
      if (CAP > 0) {
        score = capped(vec4f(score), CAP).x;
      }
      let at = 32 * page + token;
      scores[lane] = select(LOWEST, score, at >= begin && at <= position);
    }
    workgroupBarrier();
    var top = most;
    for (var i = 0u; i < 32; i++) {
      top = max(top, scores[i]);
    }
    let keep = exp(max(most - top, -80));
    total *= keep;
    for (var j = 0u; j < N_SUMS; j++) {
      sums[j] *= keep;
    }
    let values = values_at(number, head);
    for (var i = 0u; i < 32; i++) {
      if (scores[i] <= LOWEST) {
        continue;
      }
      let weight = exp(max(scores[i] - top, -80));
      total += weight;
      for (var j = 0u; j < N_SUMS; j++) {
        let d = 64 * j + lane;
        if (d < V_OUT) {
          sums[j] += weight * kv_eight(values, v_width(), i, d / 8)[d / 4 % 2][d % 4];
        }
      }
    }
    most = top;
    workgroupBarrier();
  }
  for (var j = 0u; j < N_SUMS; j++) {
    let d = 64 * j + lane;
    if (d < V_OUT) {
      y[group.y * Y_STRIDE + group.x * V_OUT + d] = sums[j] / total;
    }
  }
}
