// HEAD_NORM in place, one head of one row a workgroup: x / sqrt(mean(x^2) + eps) * weight; CENTRED: of x - mean(x).
override HEAD_DIM: u32;
override STRIDE: u32;
override EPS: f32;
override WEIGHTED: u32 = 0;
// 1: each head has its part of the weight.
override EACH: u32 = 0;
override CENTRED: u32 = 0;
// 1: fused with GLU, whose gate is `gate`, in rows of GATE_STRIDE.
override GLU: u32 = 0;
override GATE_STRIDE: u32 = 0;
struct Params {
  weight: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.y * STRIDE + group.x * HEAD_DIM;
  var mean = 0.0;
  if (CENTRED == 1) {
    var sum = 0.0;
    for (var i = lane; i < HEAD_DIM; i += LANES) {
      sum += y[first + i];
    }
    mean = sum_of_workgroup(sum, lane) / f32(HEAD_DIM);
  }
  var squares = 0.0;
  for (var i = lane; i < HEAD_DIM; i += LANES) {
    let x = y[first + i] - mean;
    squares += x * x;
  }
  let scale = 1 / sqrt(sum_of_workgroup(squares, lane) / f32(HEAD_DIM) + EPS);
  for (var i = lane; i < HEAD_DIM; i += LANES) {
    y[first + i] = (y[first + i] - mean) * scale * select(1.0, vectors[p.weight + EACH * group.x * HEAD_DIM + i], WEIGHTED == 1);
    if (GLU == 1) {
      let at = group.y * GATE_STRIDE + group.x * HEAD_DIM + i;
      y[first + i] = gated(vec4f(gate[at]), vec4f(y[first + i])).x;
    }
  }
}
