// The results of 1 matrices.
@group(0) @binding(5) var<storage, read_write> y0: array<f32>;
fn put(s: u32, at: u32, value: f32) {
  y0[at] = select(value, y0[at] + value, ADD);
}
