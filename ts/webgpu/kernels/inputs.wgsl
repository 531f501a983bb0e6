// The input of a product in floats.
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
// From one row of x to the next, in four floats.
override X_STRIDE: u32;

// Inputs 4 j .. 4 j + 3 of group b of the row that begins at four `first`; those past the row's end are 0.
fn input_from(first: u32, b: u32, j: u32) -> vec4f {
  let four = first + 8u * b + j;
  if (N_IN % 32u == 0u) {
    return x[four];
  }
  let at = vec4u(32u * b + 4u * j) + vec4u(0u, 1u, 2u, 3u);
  if (at.x >= N_IN) {
    return vec4f(0.0);
  }
  return select(vec4f(0.0), x[four], at < vec4u(N_IN));
}

fn input(t: u32, b: u32, j: u32) -> vec4f {
  return input_from(t * X_STRIDE, b, j);
}
