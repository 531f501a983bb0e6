// NORM, one row a workgroup: y[t] = x[t] / sqrt(mean(x[t]^2) + eps) * weight.
// LAYER_NORM (LAYER = 1): y[t] = (x[t] - mean) / sqrt(variance + eps) * weight + bias.
override WIDTH: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;
override EPS: f32;
override LAYER: u32 = 0;
override WEIGHTED: u32 = 0;
override BIASED: u32 = 0;
override GATHER: u32 = 0;
struct Params {
  weight: u32,
  bias: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> vectors: array<f32>;
@group(0) @binding(4) var<storage, read> rows: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

fn vector_at(first: u32, i: u32) -> vec4f {
  let at = first + min(vec4u(4 * i) + vec4u(0, 1, 2, 3), vec4u(WIDTH - 1));
  return vec4f(vectors[at.x], vectors[at.y], vectors[at.z], vectors[at.w]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let t = group.x;
  var source = t;
  if (GATHER == 1) {
    source = min(rows[t], batch.n_tokens - 1);
  }
  let n = (WIDTH + 3) / 4;
  let x0 = source * (X_STRIDE / 4);
  var mean = 0.0;
  if (LAYER == 1) {
    var sum = vec4f(0);
    for (var i = lane; i < n; i += LANES) {
      sum += select(vec4f(0), x[x0 + i], inside(i, WIDTH));
    }
    mean = sum_of_workgroup(dot(sum, vec4f(1)), lane) / f32(WIDTH);
  }
  var squares = vec4f(0);
  for (var i = lane; i < n; i += LANES) {
    let z = select(vec4f(0), x[x0 + i] - mean, inside(i, WIDTH));
    squares += z * z;
  }
  let scale = 1 / sqrt(sum_of_workgroup(dot(squares, vec4f(1)), lane) / f32(WIDTH) + EPS);
  let y0 = t * (Y_STRIDE / 4);
  for (var i = lane; i < n; i += LANES) {
    var z = (x[x0 + i] - mean) * scale;
    if (WEIGHTED == 1) {
      z *= vector_at(p.weight, i);
    }
    if (BIASED == 1) {
      z += vector_at(p.bias, i);
    }
    y[y0 + i] = select(y[y0 + i], z, inside(i, WIDTH));
  }
}
