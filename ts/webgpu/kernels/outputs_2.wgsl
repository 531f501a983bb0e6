// The results of 2 matrices.
@group(0) @binding(5) var<storage, read_write> y0: array<f32>;
@group(0) @binding(6) var<storage, read_write> y1: array<f32>;
fn put(s: u32, at: u32, value: f32) {
  switch s {
    case 0u: { y0[at] = select(value, y0[at] + value, ADD); }
    default: { y1[at] = select(value, y1[at] + value, ADD); }
  }
}
