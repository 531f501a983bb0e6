// Elements 4 j .. 4 j + 3 of group b, as four 16-bit floats; those past the row's end are 0.
fn pair_of_halves(row: u32, b: u32, j: u32) -> vec2u {
  let first = 32u * b + 4u * j;
  let at = row + first / 2u;
  if (N_IN % 32u == 0u) {
    return vec2u(weight(at), weight(at + 1u));
  }
  var two = vec2u(0u);
  for (var i = 0u; i < 2u; i++) {
    if (first + 2u * i < N_IN) {
      two[i] = weight(at + i);
    }
    if (first + 2u * i + 1u >= N_IN) {
      two[i] &= 0xffffu;
    }
  }
  return two;
}
