// SCAN: a linear recurrence, token by token. A workgroup has COLUMNS columns of one head's state S, a matrix of
// K_DIM rows; PARTS invocations share a column, each has every PARTS-th row of it in registers. A state is S of
// all heads, [N_HEAD][K_DIM][V_DIM]. The page table has the number of the state before the batch, then of the
// one after it.
override N_HEAD: u32;
override N_KEYS: u32;
override V_DIM: u32;
override Q_AT: u32;
override K_AT: u32;
override V_AT: u32;
override DELTA: bool;
override SKIPS: bool = false;
override Q_SCALE: f32;
override K_SCALE: f32;
// Fused: q and k are normed, as HEAD_NORM says, and steps are SOFTPLUS of what is there.
override NORMS: bool = false;
override EPS: f32 = 0;
override SOFT: bool = false;
override X_STRIDE: u32;
override STEP_STRIDE: u32;
override GATE_STRIDE: u32;
override Y_STRIDE: u32;
struct Params {
  decay: u32,
  skip: u32,
  table: u32,
  soft: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> steps: array<f32>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> vectors: array<f32>;
@group(0) @binding(6) var<storage, read> pages: array<u32>;
@group(0) @binding(7) var<storage, read_write> states: array<f32>;
@group(0) @binding(8) var<storage, read_write> y: array<f32>;

const COLUMNS = 16u;
const PARTS = 8u;
const ROWS = (K_DIM + PARTS - 1) / PARTS;
// Sums of the invocations: of k S, q S and q k. Tokens write the two halves in turn, so one barrier is enough.
var<workgroup> sums: array<vec3f, 2 * PARTS * COLUMNS>;
var<workgroup> squares: array<vec2f, 2 * PARTS * COLUMNS>;

fn place(state: u32, head: u32, row: u32, column: u32) -> u32 {
  return ((pages[p.table + state] * N_HEAD + head) * K_DIM + row) * V_DIM + column;
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let part = lane / COLUMNS;
  let column = group.x * COLUMNS + lane % COLUMNS;
  let is_here = column < V_DIM;
  let keys = select(head / (N_HEAD / N_KEYS), head % N_KEYS, DELTA);
  var s = array<f32, ROWS>();
  if (is_here && batch.first_position > 0) {
    for (var i = 0u; i < ROWS; i++) {
      if (part + PARTS * i < K_DIM) {
        s[i] = states[place(0, head, part + PARTS * i, column)];
      }
    }
  }
  let rate = vectors[p.decay + head];
  for (var t = 0u; t < batch.n_tokens; t++) {
    let q = t * X_STRIDE + Q_AT + keys * K_DIM + part;
    let k = t * X_STRIDE + K_AT + keys * K_DIM + part;
    var mine = vec3f();
    var mine_squares = vec2f();
    for (var i = 0u; i < ROWS; i++) {
      if (part + PARTS * i < K_DIM) {
        let qi = x[q + PARTS * i];
        let ki = x[k + PARTS * i];
        mine += vec3f(ki * s[i], qi * s[i], qi * ki);
        mine_squares += vec2f(ki * ki, qi * qi);
      }
    }
    let room = t % 2 * PARTS * COLUMNS;
    sums[room + lane] = mine;
    if (NORMS) {
      squares[room + lane] = mine_squares;
    }
    workgroupBarrier();
    var all = vec3f();
    for (var i = 0u; i < PARTS; i++) {
      all += sums[room + i * COLUMNS + lane % COLUMNS];
    }
    var k_scale = K_SCALE;
    var q_scale = Q_SCALE;
    if (NORMS) {
      var both = vec2f();
      for (var i = 0u; i < PARTS; i++) {
        both += squares[room + i * COLUMNS + lane % COLUMNS];
      }
      let by = 1 / sqrt(both / f32(K_DIM) + EPS);
      k_scale *= by.x;
      q_scale *= by.y;
    }
    var step = steps[t * STEP_STRIDE + head];
    if (SOFT) {
      let z = step + vectors[p.soft + head];
      step = max(z, 0) + log(1 + exp(-abs(z)));
    }
    let decay = exp(step * rate);
    var v = 0.0;
    if (is_here) {
      v = x[t * X_STRIDE + V_AT + head * V_DIM + column];
    }
    var u = step * v;
    if (DELTA) {
      u = (v - decay * k_scale * all.x) / (1 + exp(min(-gates[t * GATE_STRIDE + head], 80)));
    }
    for (var i = 0u; i < ROWS; i++) {
      if (part + PARTS * i < K_DIM) {
        s[i] = decay * s[i] + k_scale * x[k + PARTS * i] * u;
      }
    }
    if (part == 0 && is_here) {
      var out = q_scale * (decay * all.y + k_scale * all.z * u);
      if (SKIPS) {
        out += vectors[p.skip + head] * v;
      }
      y[t * Y_STRIDE + head * V_DIM + column] = out;
    }
  }
  if (is_here) {
    for (var i = 0u; i < ROWS; i++) {
      if (part + PARTS * i < K_DIM) {
        states[place(1, head, part + PARTS * i, column)] = s[i];
      }
    }
  }
}
