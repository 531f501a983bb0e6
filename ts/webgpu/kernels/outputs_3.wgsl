// The results of 3 matrices.
@group(0) @binding(5) var<storage, read_write> y0: array<f32>;
@group(0) @binding(6) var<storage, read_write> y1: array<f32>;
@group(0) @binding(7) var<storage, read_write> y2: array<f32>;
fn put(s: u32, at: u32, value: f32) {
  switch s {
    case 0u: { y0[at] = select(value, y0[at] + value, ADD); }
    case 1u: { y1[at] = select(value, y1[at] + value, ADD); }
    default: { y2[at] = select(value, y2[at] + value, ADD); }
  }
}
