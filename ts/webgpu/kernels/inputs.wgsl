// The input of a product in floats.
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
// From one row of x to the next, in four floats.
override X_STRIDE: u32;

// Inputs 4 j .. 4 j + 3 of group b; those past the row's end are 0.
fn input(t: u32, b: u32, j: u32) -> vec4f {
  if (N_IN % 32u == 0u) {
    return x[t * X_STRIDE + 8u * b + j];
  }
  let first = 32u * b + 4u * j;
  if (first >= N_IN) {
    return vec4f(0.0);
  }
  let at = vec4u(first, first + 1u, first + 2u, first + 3u);
  return select(vec4f(0.0), x[t * X_STRIDE + 8u * b + j], at < vec4u(N_IN));
}
