// The values of src/quant/iq4_nl.c for four nibbles, one in each byte.
fn iq4_value(nibble: u32) -> u32 {
  let low = select(0xbfad9881u, 0xf6eaddcfu, (nibble & 4u) != 0u);
  let high = select(0x26190d01u, 0x71594535u, (nibble & 4u) != 0u);
  return (select(low, high, (nibble & 8u) != 0u) >> (8u * (nibble & 3u))) & 255u;
}
fn iq4_values(nibbles: u32) -> u32 {
  return iq4_value(nibbles & 15u) | (iq4_value((nibbles >> 8u) & 15u) << 8u)
    | (iq4_value((nibbles >> 16u) & 15u) << 16u) | (iq4_value(nibbles >> 24u) << 24u);
}
