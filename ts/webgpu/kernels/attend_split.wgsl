// ATTEND for few tokens: ROWS query rows of one KV head over one chunk of positions a workgroup. So keys and
// values are read once for all heads that share them. query_plain or query_raw has the bindings and makes
// the queries, score_workgroup or score_subgroup the scores. attend_reduce joins the chunks.
// CHUNK positions at a time: K_LANES invocations share a key, an invocation has eight elements of the values
// of every V_SUBS-th position.
override CAP: f32;
@group(0) @binding(1) var<uniform> p: Params;

const STEP = THREADS / K_LANES;
const ROOM_ROW = ROWS * STEP + 1;
const V_SUBS = THREADS / V8;
var<workgroup> query: array<vec4f, ROWS * 2 * K8>;
var<workgroup> scores: array<f32, ROWS * CHUNK>;
var<workgroup> room: array<f32, max(max(K_LANES * ROOM_ROW, 8 * THREADS), 8 * (K8 + V8))>;
// What the ROW_LANES invocations of a row found.
var<workgroup> found: array<f32, ROWS * ROW_LANES>;
var<workgroup> most: array<f32, ROWS>;
var<workgroup> keep: array<f32, ROWS>;
var<workgroup> numbers: array<u32, CHUNK / 32>;

// Token and head of a query row of a KV head; behind the last row: of the last one.
fn row_of(row: u32, kv_head: u32) -> vec2u {
  let group = N_HEAD / N_KV;
  let at = min(row, group * batch.n_tokens - 1);
  return vec2u(at / group, kv_head * group + at % group);
}

fn is_seen(row: u32, kv_head: u32, at: u32) -> bool {
  let position = batch.first_position + row_of(row, kv_head).x;
  return at <= position && (WINDOW == 0 || at + WINDOW > position);
}

// The sums of all rows over the part of the chunk's key j that an invocation has; 0 from key n on.
fn products(j: u32, n: u32, part: u32, kv_head: u32) -> array<f32, ROWS> {
  var sums = array<f32, ROWS>(); // without the value, Dawn keeps the last round's sums
  if (j < n) {
    let keys = keys_at(numbers[j / 32], kv_head);
    for (var i = part; i < K8; i += K_LANES) {
      let k = kv_eight(keys, K_DIM, j % 32, i);
      for (var r = 0u; r < ROWS; r++) {
        let at = 2 * (r * K8 + i);
        sums[r] += dot(k[0], query[at]) + dot(k[1], query[at + 1]);
      }
    }
  }
  return sums;
}

// A whole product of a query row and the key at a position, as a score.
fn score_of(sum: f32, row: u32, kv_head: u32, at: u32) -> f32 {
  var z = sum;
  if (CAP > 0) {
    z = capped(vec4f(sum), CAP).x;
  }
  return select(LOWEST, z, is_seen(row, kv_head, at));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let kv_head = group.x % N_KV;
  let first_row = group.x / N_KV * ROWS;
  let lowest = first_seen();
  let begin = lowest / 32 * 32 + group.y * chunk_length();
  let end = min(begin + chunk_length(), end_position());
  prepare(first_row, kv_head, end == end_position(), lane);
  if (lane < ROWS) {
    most[lane] = LOWEST;
  }
  var total = 0.0;
  var sums: array<mat2x4f, ROWS>;
  for (var c = begin; c < end; c += CHUNK) {
    let n = min(CHUNK, end - c);
    if (lane < (n + 31) / 32) {
      numbers[lane] = pages[p.table + c / 32 + lane];
    }
    workgroupBarrier();
    score(c, n, first_row, kv_head, lane);
    let sum = weigh(n, lane);
    total = total * keep[min(lane / ROW_LANES, ROWS - 1)] + sum;
    if (lane < V_SUBS * V8) {
      for (var r = 0u; r < ROWS; r++) {
        sums[r] *= keep[r];
      }
      for (var j = lane / V8; j < n; j += V_SUBS) {
        if (c + j < lowest) {
          continue;
        }
        let v = kv_eight(values_at(numbers[j / 32], kv_head), v_width(), j % 32, lane % V8);
        for (var r = 0u; r < ROWS; r++) {
          sums[r] += scores[r * CHUNK + j] * v;
        }
      }
    }
    workgroupBarrier();
  }
  if (lane < ROWS * ROW_LANES) {
    found[lane] = total;
  }
  for (var r = 0u; r < ROWS; r++) {
    for (var k = 0u; k < 8; k++) {
      room[k * THREADS + lane] = sums[r][k / 4][k % 4];
    }
    workgroupBarrier();
    total = 0;
    for (var i = 0u; i < ROW_LANES; i++) {
      total += found[ROW_LANES * r + i];
    }
    let row = row_of(first_row + r, kv_head);
    if (first_row + r < N_HEAD / N_KV * batch.n_tokens) {
      let is_whole = IS_DIRECT && n_chunks() == 1;
      let at = part_at(row.x, row.y, group.y);
      for (var d = lane; d < V_OUT; d += THREADS) {
        var sum = 0.0;
        for (var i = 0u; i < V_SUBS; i++) {
          sum += room[d % 8 * THREADS + i * V8 + d / 8];
        }
        if (is_whole) {
          write_y(row, d, sum, total, most[r]);
        } else {
          partial[at + d] = sum;
        }
      }
      if (lane == 0 && !is_whole) {
        partial[at + V_OUT] = most[r];
        partial[at + V_OUT + 1] = total;
      }
    }
    workgroupBarrier();
  }
}
