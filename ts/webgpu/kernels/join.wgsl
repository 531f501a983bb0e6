// JOIN: each head of y[t] is a part of a head of a[t], and behind it a part of a head of b[t].
override HEADS: u32;
override WIDTH0: u32;
override WIDTH1: u32;
override FIRST0: u32;
override FIRST1: u32;
override STEP0: u32;
override STEP1: u32;
override A_STRIDE: u32;
override B_STRIDE: u32;
override Y_STRIDE: u32;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = WIDTH0 + WIDTH1;
  if (id.x >= HEADS * width) {
    return;
  }
  let head = id.x / width;
  let i = id.x % width;
  var z = 0.0;
  if (i < WIDTH0) {
    z = a[id.y * A_STRIDE + FIRST0 + head * STEP0 + i];
  } else {
    z = b[id.y * B_STRIDE + FIRST1 + head * STEP1 + i - WIDTH0];
  }
  y[id.y * Y_STRIDE + id.x] = z;
}
