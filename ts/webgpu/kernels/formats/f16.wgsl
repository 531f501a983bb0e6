// src/quant/f16.c has the diagram.
fn value_f16(row: u32, b: u32, j: u32) -> vec4f {
  let two = pair_of_halves(row, b, j);
  return vec4f(unpack2x16float(two.x), unpack2x16float(two.y));
}
