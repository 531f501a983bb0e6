// src/quant/f32.c has the diagram.
fn value_f32(row: u32, b: u32, j: u32) -> vec4f {
  let first = 32u * b + 4u * j;
  let at = row + first;
  if (N_IN % 32u == 0u) {
    return bitcast<vec4f>(vec4u(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]));
  }
  var four = vec4u(0u);
  for (var i = 0u; i < 4u; i++) {
    if (first + i < N_IN) {
      four[i] = weights[at + i];
    }
  }
  return bitcast<vec4f>(four);
}
