// SHORT_CONV, one channel of one token an invocation. A state is [KERNEL - 1][WIDTH], oldest input first.
// The page table has the number of the state before the batch, then of the one after it.
override WIDTH: u32;
override KERNEL: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;
override BIASED: u32 = 0;
// The weights are m and 1 - m, of a vector of m.
override LERPS: u32 = 0;
// Fused: ACTIVATE of the result.
override ACTIVATES: u32 = 0;
struct Params {
  weight: u32,
  table: u32,
  bias: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> vectors: array<f32>;
@group(0) @binding(4) var<storage, read> pages: array<u32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// The input of channel c, KERNEL - 1 - at tokens before the batch's first. A sequence starts with zeros.
fn input(c: u32, at: u32) -> f32 {
  if (at >= KERNEL - 1) {
    return x[(at - (KERNEL - 1)) * X_STRIDE + c];
  }
  if (batch.first_position == 0) {
    return 0;
  }
  return states[(pages[p.table] * (KERNEL - 1) + at) * WIDTH + c];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  let t = id.y;
  if (c >= WIDTH) {
    return;
  }
  var sum = 0.0;
  if (LERPS == 1) {
    let m = vectors[p.weight + c];
    sum = m * input(c, t) + (1 - m) * input(c, t + 1);
  } else {
    for (var j = 0u; j < KERNEL; j++) {
      sum += vectors[p.weight + c * KERNEL + j] * input(c, t + j);
    }
  }
  if (BIASED == 1) {
    sum += vectors[p.bias + c];
  }
  if (ACTIVATES == 1) {
    sum = activation(vec4f(sum)).x;
  }
  y[t * Y_STRIDE + c] = sum;
  if (t == batch.n_tokens - 1) {
    for (var j = 0u; j + 1 < KERNEL; j++) {
      states[(pages[p.table + 1] * (KERNEL - 1) + j) * WIDTH + c] = input(c, t + 1 + j);
    }
  }
}
