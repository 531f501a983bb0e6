// ENCODE, and ATTEND of whole texts, for attend_tiles.wgsl: the keys and values of a run are rows of slots. A
// tile begins at the run's first row and sees no other run, so a text gets the same bits alone and in company.
override N_KV: u32;
override K_DIM: u32;
override V_DIM: u32;
override CAP: f32;
override K_STRIDE: u32;
override V_STRIDE: u32;
// A row sees the rows at most REACH before and behind it; without WINDOW all. CAUSAL: none behind it.
override WINDOW: bool;
override REACH: u32;
override CAUSAL: bool;
// bias_of() isn't 0.
override BIASED: bool;
// First row and number of rows of each run.
@group(0) @binding(3) var<storage, read> runs: array<vec2u>;
@group(0) @binding(4) var<storage, read> keys: array<f32>;
@group(0) @binding(7) var<storage, read> values: array<f32>;

// Workgroups go through the runs in order.
fn query_rows(number: u32, count: u32) -> Rows {
  var left = number;
  var i = 0u;
  var n = N_HEAD / N_KV * runs[0].y;
  while (left >= (n + 31) / 32 && i + 1 < arrayLength(&runs)) {
    left -= (n + 31) / 32;
    i++;
    n = N_HEAD / N_KV * runs[i].y;
  }
  return Rows(32 * left, n, runs[i].x, 0);
}

fn lowest_seen(position: u32) -> u32 {
  return select(0, position - REACH, WINDOW && position >= REACH);
}

fn highest_seen(rows: Rows, position: u32) -> u32 {
  let last = rows.n / (N_HEAD / N_KV) - 1;
  if (CAUSAL) {
    return position;
  }
  return select(last, min(last, position + REACH), WINDOW);
}

fn score_of(z: vec4f, at: vec4u, position: u32, head: u32) -> vec4f {
  if (CAP > 0) {
    return capped(z, CAP);
  }
  if (!BIASED) {
    return z;
  }
  let far = vec4i(at) - vec4i(i32(position));
  return z + vec4f(bias_of(head, far.x), bias_of(head, far.y), bias_of(head, far.z), bias_of(head, far.w));
}

fn place_of(rows: Rows, t: u32) -> u32 {
  return rows.base + 32 * t;
}

fn eight_at(is_value: bool, kv_head: u32, place: u32, token: u32, i: u32) -> mat2x4f {
  var z = mat2x4f();
  let width = select(K_DIM, V_DIM, is_value);
  let at = (place + token) * select(K_STRIDE, V_STRIDE, is_value) + kv_head * width;
  for (var k = 0u; k < 8; k++) {
    let d = 8 * i + k;
    if (d < width) {
      if (is_value) {
        z[k / 4][k % 4] = values[at + d];
      } else {
        z[k / 4][k % 4] = keys[at + d];
      }
    }
  }
  return z;
}
