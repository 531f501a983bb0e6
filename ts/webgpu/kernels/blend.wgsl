// BLEND: block FIRST + i of y[t] += the sum over j of (FACTOR * c[t][i * N_IN + j] + BIAS) * block j of x[t].
override WIDTH: u32;
override N_IN: u32;
override N_OUT: u32;
override FIRST: u32;
override FACTOR: f32;
override BIAS: f32;
override SELF: u32; // 1: x is y
override WEIGHTED: u32; // 0: there is no c
override X_STRIDE: u32;
override C_STRIDE: u32;
override Y_STRIDE: u32;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn input(row: u32, at: u32) -> f32 {
  if (SELF == 1) {
    return y[row * Y_STRIDE + at];
  }
  return x[row * X_STRIDE + at];
}

fn coefficient(row: u32, at: u32) -> f32 {
  if (WEIGHTED == 0) {
    return BIAS;
  }
  return FACTOR * c[row * C_STRIDE + at] + BIAS;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  if (id.x >= WIDTH) {
    return;
  }
  let first = row * Y_STRIDE + FIRST * WIDTH + id.x;
  var sums = vec4f(0);
  for (var i = 0u; i < N_OUT; i++) {
    var sum = y[first + i * WIDTH];
    for (var j = 0u; j < N_IN; j++) {
      sum += coefficient(row, i * N_IN + j) * input(row, j * WIDTH + id.x);
    }
    sums[i] = sum;
  }
  for (var i = 0u; i < N_OUT; i++) {
    y[first + i * WIDTH] = sums[i];
  }
}
