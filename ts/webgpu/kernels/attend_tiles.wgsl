// Attention of many tokens: 32 query rows of one KV head and one run a workgroup, over tile after tile of 32
// keys with an online softmax. A query row is one head of one token. Keys, queries and values come into
// workgroup memory in slices of 32 elements. An invocation has rows `ry` and `ry` + 16 of a tile; of scores
// those of keys px + 8 k of a tile, of sums elements 4 px + k of every slice. tiles_paged.wgsl (ATTEND) and
// tiles_rows.wgsl (ENCODE) say where runs, keys and values are, and what a query sees.
override N_HEAD: u32;
override V_OUT: u32;
override SCALE: f32;
override Q_STRIDE: u32;
override Y_STRIDE: u32;
struct Params {
  table: u32,
  sinks: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> vectors: array<f32>;

const LOWEST = -3.0e38;
// Slices of keys and of values.
const K_SLICES = (K8 + 3) / 4;
const V_SLICES = (V8 + 3) / 4;
// Rows of 8, and one more for the banks.
const ROW = 9u;
var<workgroup> query: array<vec4f, 32 * ROW>;
var<workgroup> tile: array<vec4f, 32 * ROW>;
var<workgroup> weights: array<vec4f, 32 * ROW>;
var<workgroup> eight: array<f32, 32 * 8>;

// Query rows of a run: a workgroup's are from `first` on, the run has n. The run's first token is row `base` of
// the slots, and has position `position`.
struct Rows {
  first: u32,
  n: u32,
  base: u32,
  position: u32,
}

// Token and head of a query row; behind the last row: of the last one.
fn row_of(rows: Rows, row: u32, kv_head: u32) -> vec2u {
  let group = N_HEAD / N_KV;
  let at = min(row, rows.n - 1);
  return vec2u(at / group, kv_head * group + at % group);
}

fn stage_query(rows: Rows, kv_head: u32, slice: u32, lane: u32) {
  for (var i = lane; i < 256; i += 128) {
    let row = row_of(rows, rows.first + i / 8, kv_head);
    let at = (rows.base + row.x) * Q_STRIDE + row.y * K_DIM;
    var z = vec4f(0);
    for (var k = 0u; k < 4; k++) {
      let d = 32 * slice + i % 8 * 4 + k;
      if (d < K_DIM) {
        z[k] = SCALE * q[at + d];
      }
    }
    query[i / 8 * ROW + i % 8] = z;
  }
}

// One slice of 32 tokens. Tokens from n_tokens on may be anything: they become zeros.
fn stage(is_value: bool, kv_head: u32, place: u32, slice: u32, n_eights: u32, n_tokens: u32, lane: u32) {
  let token = lane / 4;
  let i = 4 * slice + lane % 4;
  var z = mat2x4f();
  if (i < n_eights && token < n_tokens) {
    z = eight_at(is_value, kv_head, place, token, i);
  }
  tile[token * ROW + lane % 4 * 2] = z[0];
  tile[token * ROW + lane % 4 * 2 + 1] = z[1];
}

fn masked(rows: Rows, z: vec4f, at: vec4u, owner: vec2u) -> vec4f {
  let position = rows.position + owner.x;
  let seen = (at <= vec4u(highest_seen(rows, position))) & (at >= vec4u(lowest_seen(position)));
  return select(vec4f(LOWEST), score_of(z, at, position, owner.y), seen);
}

fn largest(z: vec4f) -> f32 {
  return max(max(z.x, z.y), max(z.z, z.w));
}

fn largest_of_row(row: u32, most: f32) -> f32 {
  var top = most;
  for (var i = 0u; i < 8; i++) {
    top = max(top, eight[8 * row + i]);
  }
  return top;
}

fn total_of_row(row: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < 8; i++) {
    sum += eight[8 * row + i];
  }
  return sum;
}

fn weights_of(z: vec4f, top: f32) -> vec4f {
  return select(vec4f(0), exp(max(z - top, vec4f(-80))), z > vec4f(LOWEST));
}

fn write(rows: Rows, row: u32, kv_head: u32, slice: u32, px: u32, sums: vec4f) {
  if (row >= rows.n) {
    return;
  }
  let owner = row_of(rows, row, kv_head);
  for (var k = 0u; k < 4; k++) {
    let d = 32 * slice + 4 * px + k;
    if (d < V_OUT) {
      y[(rows.base + owner.x) * Y_STRIDE + owner.y * V_OUT + d] = sums[k];
    }
  }
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let kv_head = group.x;
  let rows = query_rows(group.y, groups.y);
  let px = lane % 8;
  let ry = lane / 8;
  let owner0 = row_of(rows, rows.first + ry, kv_head);
  let owner1 = row_of(rows, rows.first + ry + 16, kv_head);
  var sums: array<vec4f, 2 * V_SLICES>;
  var most = vec2f(LOWEST);
  var total = vec2f(0);
  let last = highest_seen(rows, rows.position + row_of(rows, rows.first + 31, kv_head).x);
  let first_tile = lowest_seen(rows.position + row_of(rows, rows.first, kv_head).x) / 32;
  for (var t = first_tile; t <= last / 32; t++) {
    let place = place_of(rows, t);
    let n = last + 1 - 32 * t;
    var s0 = vec4f(0);
    var s1 = vec4f(0);
    for (var slice = 0u; slice < K_SLICES; slice++) {
      workgroupBarrier();
      stage_query(rows, kv_head, slice, lane);
      stage(false, kv_head, place, slice, K8, n, lane);
      workgroupBarrier();
      for (var d = 0u; d < 8; d++) {
        let a = query[ry * ROW + d];
        let b = query[(ry + 16) * ROW + d];
        let k0 = tile[px * ROW + d];
        let k1 = tile[(px + 8) * ROW + d];
        let k2 = tile[(px + 16) * ROW + d];
        let k3 = tile[(px + 24) * ROW + d];
        s0 += vec4f(dot(a, k0), dot(a, k1), dot(a, k2), dot(a, k3));
        s1 += vec4f(dot(b, k0), dot(b, k1), dot(b, k2), dot(b, k3));
      }
    }
    let at = vec4u(32 * t + px) + vec4u(0, 8, 16, 24);
    s0 = masked(rows, s0, at, owner0);
    s1 = masked(rows, s1, at, owner1);
    eight[8 * ry + px] = largest(s0);
    eight[8 * (ry + 16) + px] = largest(s1);
    workgroupBarrier();
    let top = vec2f(largest_of_row(ry, most.x), largest_of_row(ry + 16, most.y));
    let keep = exp(max(most - top, vec2f(-80)));
    most = top;
    s0 = weights_of(s0, top.x);
    s1 = weights_of(s1, top.y);
    total = total * keep + vec2f(dot(s0, vec4f(1)), dot(s1, vec4f(1)));
    weights[ry * ROW + px] = s0;
    weights[(ry + 16) * ROW + px] = s1;
    for (var slice = 0u; slice < V_SLICES; slice++) {
      workgroupBarrier();
      stage(true, kv_head, place, slice, V8, n, lane);
      workgroupBarrier();
      var z0 = sums[2 * slice] * keep.x;
      var z1 = sums[2 * slice + 1] * keep.y;
      for (var j = 0u; j < 8; j++) {
        let a = weights[ry * ROW + j];
        let b = weights[(ry + 16) * ROW + j];
        let v0 = tile[j * ROW + px];
        let v1 = tile[(j + 8) * ROW + px];
        let v2 = tile[(j + 16) * ROW + px];
        let v3 = tile[(j + 24) * ROW + px];
        z0 += a.x * v0 + a.y * v1 + a.z * v2 + a.w * v3;
        z1 += b.x * v0 + b.y * v1 + b.z * v2 + b.w * v3;
      }
      sums[2 * slice] = z0;
      sums[2 * slice + 1] = z1;
    }
  }
  eight[8 * ry + px] = total.x;
  eight[8 * (ry + 16) + px] = total.y;
  workgroupBarrier();
  let by0 = share(total_of_row(ry), most.x, owner0.y);
  let by1 = share(total_of_row(ry + 16), most.y, owner1.y);
  for (var slice = 0u; slice < V_SLICES; slice++) {
    write(rows, rows.first + ry, kv_head, slice, px, sums[2 * slice] * by0);
    write(rows, rows.first + ry + 16, kv_head, slice, px, sums[2 * slice + 1] * by1);
  }
}
