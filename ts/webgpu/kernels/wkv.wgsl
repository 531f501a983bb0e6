// WKV (ops.def): a workgroup has the state S of one head, a matrix of HEAD_DIM rows and columns; an invocation
// has a column of it in registers, and computes that element of the token's inputs for all. A state is S of
// all heads. The page table has the number of the state before the batch, then of the one after it.
override WIDTH: u32; // of all heads
override EPS: f32;
override NORMS: bool;
override R_STRIDE: u32;
override K_STRIDE: u32;
override A_STRIDE: u32;
override Y_STRIDE: u32;
struct Params {
  unit: u32,
  inner: u32,
  bonus: u32,
  gain: u32,
  bias: u32,
  table: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> receptances: array<f32>; // r, then w
@group(0) @binding(3) var<storage, read> keys: array<f32>; // k, then v
@group(0) @binding(4) var<storage, read> rates: array<f32>; // a
@group(0) @binding(5) var<storage, read> vectors: array<f32>;
@group(0) @binding(6) var<storage, read> pages: array<u32>;
@group(0) @binding(7) var<storage, read_write> states: array<f32>;
@group(0) @binding(8) var<storage, read_write> y: array<f32>;

// Of each row: decay, k, a * c and c.
var<workgroup> rows: array<vec4f, HEAD_DIM>;
var<workgroup> r: array<f32, HEAD_DIM>;
// What is added up over the head: c c and r k weight[2], and later the column's output.
var<workgroup> parts: array<vec2f, HEAD_DIM>;

fn logistic(x: f32) -> f32 {
  return 1 / (1 + exp(min(-x, 80)));
}

fn total() -> vec2f {
  var sum = vec2f();
  for (var i = 0u; i < HEAD_DIM; i++) {
    sum += parts[i];
  }
  return sum;
}

fn place(state: u32, at: u32, row: u32) -> u32 {
  let head = at / HEAD_DIM;
  return (pages[p.table + state] * WIDTH + head * HEAD_DIM + row) * HEAD_DIM + at % HEAD_DIM;
}

@compute @workgroup_size(HEAD_DIM)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = id.x;
  var s = array<f32, HEAD_DIM>();
  if (batch.first_position > 0) {
    for (var i = 0u; i < HEAD_DIM; i++) {
      s[i] = states[place(0, at, i)];
    }
  }
  for (var t = 0u; t < batch.n_tokens; t++) {
    let k = keys[t * K_STRIDE + at];
    let v = keys[t * K_STRIDE + WIDTH + at];
    let a = logistic(rates[t * A_STRIDE + at]);
    let key = k + (a - 1) * k * vectors[p.inner + at];
    let c = k * vectors[p.unit + at];
    let mine = receptances[t * R_STRIDE + at];
    parts[lane] = vec2f(c * c, mine * key * vectors[p.bonus + at]);
    workgroupBarrier();
    let sums = total();
    let unit = c / max(sqrt(sums.x), 1e-12);
    let decay = exp(-0.606531 * logistic(receptances[t * R_STRIDE + WIDTH + at]));
    rows[lane] = vec4f(decay, key, a * unit, unit);
    r[lane] = mine;
    workgroupBarrier();
    var gone = 0.0;
    for (var i = 0u; i < HEAD_DIM; i++) {
      gone += rows[i].w * s[i];
    }
    var out = 0.0;
    for (var i = 0u; i < HEAD_DIM; i++) {
      s[i] = rows[i].x * s[i] + rows[i].y * v - rows[i].z * gone;
      out += r[i] * s[i];
    }
    if (NORMS) {
      parts[lane] = vec2f(out, 0);
      workgroupBarrier();
      let mean = total().x / f32(HEAD_DIM);
      var squares = 0.0;
      for (var i = 0u; i < HEAD_DIM; i++) {
        squares += (parts[i].x - mean) * (parts[i].x - mean);
      }
      out = (out - mean) / sqrt(squares / f32(HEAD_DIM) + EPS) * vectors[p.gain + at] + vectors[p.bias + at];
      workgroupBarrier(); // the next token writes parts
    }
    y[t * Y_STRIDE + at] = out + sums.y * v;
  }
  for (var i = 0u; i < HEAD_DIM; i++) {
    states[place(1, at, i)] = s[i];
  }
}
