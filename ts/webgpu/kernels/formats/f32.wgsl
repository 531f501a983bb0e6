// src/quant/f32.c has the diagram.
fn value_f32(row: u32, b: u32, j: u32) -> vec4f {
  let first = 32u * b + 4u * j;
  let at = row + first;
  if (N_IN % 32u == 0u) {
    return bitcast<vec4f>(vec4u(weight(at), weight(at + 1u), weight(at + 2u), weight(at + 3u)));
  }
  var four = vec4u(0u);
  for (var i = 0u; i < 4u; i++) {
    if (first + i < N_IN) {
      four[i] = weight(at + i);
    }
  }
  return bitcast<vec4f>(four);
}
