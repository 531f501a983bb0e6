// The values of src/quant/mxfp4.c for four nibbles, one in each byte: twice the floats of four bits.
fn e2m1_value(nibble: u32) -> u32 {
  let plus = select(0x03020100u, 0x0c080604u, (nibble & 4u) != 0u);
  let minus = select(0xfdfeff00u, 0xf4f8fafcu, (nibble & 4u) != 0u);
  return (select(plus, minus, (nibble & 8u) != 0u) >> (8u * (nibble & 3u))) & 255u;
}
fn e2m1_values(nibbles: u32) -> u32 {
  return e2m1_value(nibbles & 15u) | (e2m1_value((nibbles >> 8u) & 15u) << 8u)
    | (e2m1_value((nibbles >> 16u) & 15u) << 16u) | (e2m1_value(nibbles >> 24u) << 24u);
}
