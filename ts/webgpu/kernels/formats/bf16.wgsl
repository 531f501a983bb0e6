// src/quant/bf16.c has the diagram.
fn value_bf16(row: u32, b: u32, j: u32) -> vec4f {
  let two = pair_of_halves(row, b, j);
  return bitcast<vec4f>(vec4u(two.x << 16u, two.x & 0xffff0000u, two.y << 16u, two.y & 0xffff0000u));
}
