// HEAD_NORM and ROPE of queries in place, of keys and values on their way to the cache (KV_STORE): one head
// of one token a workgroup; first the heads of queries, then of keys, then of values.
override N_HEAD: u32;
override Q_STRIDE: u32;
override K_STRIDE: u32;
override V_STRIDE: u32;
override ANGLES_STRIDE: u32;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;

// A head as the product gave it, and ready. Behind its width are zeros.
var<workgroup> raw: array<f32, MOST>;
var<workgroup> ready: array<f32, MOST>;

fn normed(kind: u32, head: u32, d: u32, by: f32) -> f32 {
  let z = raw[d] * by;
  if (kind == 0 && Q_NORM == 2) {
    return z * vectors[p.q_weight + d];
  }
  if (kind == 1 && K_NORM == 2) {
    return z * vectors[p.k_weight + d];
  }
  return z;
}

fn source(j: u32) -> f32 {
  return ready[j];
}

fn input(kind: u32, head: u32, t: u32, d: u32) -> f32 {
  if (kind == 0) {
    return q[t * Q_STRIDE + head * K_DIM + d];
  }
  if (kind == 1) {
    return k[t * K_STRIDE + head * K_DIM + d];
  }
  return v[t * V_STRIDE + head * V_DIM + d];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let t = group.y;
  let kind = select(0u, 1u, group.x >= N_HEAD) + select(0u, 1u, group.x >= N_HEAD + N_KV);
  let head = group.x - select(0, N_HEAD, kind > 0) - select(0, N_KV, kind > 1);
  let width = select(K_DIM, V_DIM, kind == 2);
  var squares = 0.0;
  for (var d = lane; d < MOST; d += LANES) {
    var z = 0.0;
    if (d < width) {
      z = input(kind, head, t, d);
    }
    raw[d] = z;
    squares += z * z;
  }
  let mean = sum_of_workgroup(squares, lane) / f32(width);
  let has_norm = select(select(Q_NORM, K_NORM, kind == 1), V_NORM, kind == 2) > 0;
  let by = select(1, 1 / sqrt(mean + EPS), has_norm);
  for (var d = lane; d < MOST; d += LANES) {
    var z = 0.0;
    if (kind == 2) {
      z = raw[d] * by;
    } else if (d < width) {
      z = turned(kind, head, d, by, t * (ANGLES_STRIDE / 2));
    }
    ready[d] = z;
    if (kind == 0 && d < width) {
      q[t * Q_STRIDE + head * K_DIM + d] = z;
    }
  }
  workgroupBarrier();
  if (kind > 0) {
    let position = batch.first_position + t;
    let number = pages[p.table + position / 32];
    let at = select(keys_at(number, head), values_at(number, head), kind == 2);
    for (var i = lane; i < (width + STORE_UNIT - 1) / STORE_UNIT; i += LANES) {
      store_part(at, width, position % 32, i);
    }
  }
}
