// POOL: out[r] of the rows of text r. A thread makes four elements. A mean adds the rows in order, so it
// doesn't depend on the other texts.
override WIDTH: u32;
override X_STRIDE: u32;
override Y_STRIDE: u32;
override KIND: u32; // CHORD_POOLING_*: none, mean, the first row, the last row
// First row and number of rows of each run.
@group(0) @binding(2) var<storage, read> runs: array<vec2u>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

fn row(number: u32, i: u32) -> vec4f {
  return x[number * (X_STRIDE / 4) + i];
}

fn pooled(number: u32, i: u32) -> vec4f {
  if (KIND == 0) {
    return row(number, i);
  }
  let run = runs[number];
  if (KIND == 2) {
    return row(run.x, i);
  }
  if (KIND == 3) {
    return row(run.x + run.y - 1, i);
  }
  var sum = vec4f(0);
  for (var t = 0u; t < run.y; t++) {
    sum += row(run.x + t, i);
  }
  return sum * (1 / f32(run.y));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (4 * id.x >= WIDTH) {
    return;
  }
  let at = id.y * (Y_STRIDE / 4) + id.x;
  y[at] = select(y[at], pooled(id.y, id.x), inside(id.x, WIDTH));
}
