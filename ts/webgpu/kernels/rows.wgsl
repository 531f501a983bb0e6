// Rows of four floats at a time. A slot's stride is a multiple of 4.

// Which elements of group i are inside of a row of `width` elements.
fn inside(i: u32, width: u32) -> vec4<bool> {
  return vec4u(4 * i) + vec4u(0, 1, 2, 3) < vec4u(width);
}
