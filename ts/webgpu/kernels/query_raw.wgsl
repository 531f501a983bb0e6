// The queries of attend_split for exactly one token, from the products as they are: head norms, RoPE and the
// scale are done here. Where STORES is 1, the workgroups of the last chunk do the same with the token's key
// and store key and value, before they read them like those of any other position. Several workgroups of a
// KV head write the same words. The others read older positions only.
override Q_STRIDE: u32;
override SCALE: f32;
override STORES: u32 = 1;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(9) var<storage, read_write> partial: array<f32>;

const IS_DIRECT = false;

fn write_y(row: vec2u, d: u32, sum: f32, total: f32, most: f32) {}

// Norms: of the query rows, of the key, of the value.
var<workgroup> squares: array<f32, (ROWS + 2) * 16>;
var<private> source_at: u32;

// Element `d` of head `head` of the query (0), the key (1) or the value (2), as the product gave it.
fn raw(kind: u32, head: u32, d: u32) -> f32 {
  if (kind == 0) {
    return q[head * K_DIM + d];
  }
  if (kind == 1) {
    return k[head * K_DIM + d];
  }
  return v[head * V_DIM + d];
}

// What norm `n` of `squares` belongs to: kind and head.
fn owner_of(n: u32, first_row: u32, kv_head: u32) -> vec2u {
  if (n < ROWS) {
    return vec2u(0, row_of(first_row + n, kv_head).y);
  }
  return vec2u(n - ROWS + 1, kv_head);
}

fn norm_of(kind: u32) -> u32 {
  return select(select(Q_NORM, K_NORM, kind == 1), V_NORM, kind == 2);
}

fn sum_squares(first_row: u32, kv_head: u32, lane: u32) {
  for (var e = lane; e < (ROWS + 2) * 16; e += THREADS) {
    let owner = owner_of(e / 16, first_row, kv_head);
    var sum = 0.0;
    if (norm_of(owner.x) > 0) {
      let width = select(K_DIM, V_DIM, owner.x == 2);
      for (var d = e % 16; d < width; d += 16) {
        let z = raw(owner.x, owner.y, d);
        sum += z * z;
      }
    }
    squares[e] = sum;
  }
}

fn factor(n: u32, kind: u32) -> f32 {
  if (norm_of(kind) == 0) {
    return 1;
  }
  var sum = 0.0;
  for (var i = 0u; i < 16; i++) {
    sum += squares[16 * n + i];
  }
  return 1 / sqrt(sum / f32(select(K_DIM, V_DIM, kind == 2)) + EPS);
}

fn normed(kind: u32, head: u32, d: u32, by: f32) -> f32 {
  var z = raw(kind, head, d) * by;
  if (norm_of(kind) == 2) {
    z *= vectors[select(p.q_weight, p.k_weight, kind == 1) + d];
  }
  return z;
}

fn source(j: u32) -> f32 {
  return room[source_at + j];
}

fn parts(n: u32) -> u32 {
  return (n + STORE_UNIT - 1) / STORE_UNIT;
}

// Key and value, in `room`: 8 K8 elements, then as many as the value needs. Behind a width are zeros.
fn store(kv_head: u32, lane: u32) {
  let k_by = factor(ROWS, 1);
  let v_by = factor(ROWS + 1, 2);
  for (var d = lane; d < 8 * K8; d += THREADS) {
    var z = 0.0;
    if (d < K_DIM) {
      z = turned(1, kv_head, d, k_by, 0);
    }
    room[d] = z;
  }
  for (var d = lane; d < (V_DIM + 7) / 8 * 8; d += THREADS) {
    var z = 0.0;
    if (d < V_DIM) {
      z = normed(2, kv_head, d, v_by);
    }
    room[8 * K8 + d] = z;
  }
  workgroupBarrier();
  let number = pages[p.table + batch.first_position / 32];
  let token = batch.first_position % 32;
  for (var i = lane; i < parts(K_DIM) + parts(V_DIM); i += THREADS) {
    if (i < parts(K_DIM)) {
      source_at = 0;
      store_part(keys_at(number, kv_head), K_DIM, token, i);
    } else {
      source_at = 8 * K8;
      store_part(values_at(number, kv_head), V_DIM, token, i - parts(K_DIM));
    }
  }
  storageBarrier();
  workgroupBarrier();
}

fn prepare(first_row: u32, kv_head: u32, is_last: bool, lane: u32) {
  sum_squares(first_row, kv_head, lane);
  workgroupBarrier();
  for (var i = lane; i < ROWS * 2 * K8; i += THREADS) {
    let r = i / (2 * K8);
    let head = row_of(first_row + r, kv_head).y;
    let by = factor(r, 0);
    var z = vec4f(0);
    for (var c = 0u; c < 4; c++) {
      let d = 4 * (i % (2 * K8)) + c;
      if (d < K_DIM) {
        z[c] = SCALE * turned(0, head, d, by, 0);
      }
    }
    query[i] = z;
  }
  if (STORES == 1 && is_last) {
    store(kv_head, lane);
  }
}
