// src/quant/iq4_nl.c has the diagram. In its plane a block is the 16 bytes q; the d of all blocks come after.
fn word_iq4_nl(row: u32, b: u32, j: u32) -> u32 {
  return iq4_values((weight(row + 4u * b + j % 4u) >> (j / 4u * 4u)) & 0x0f0f0f0fu);
}
fn scale_iq4_nl(row: u32, b: u32) -> vec4f {
  return vec4f(vec2f(half_at(row + 4u * (N_IN / 32u), b)), 0.0, 0.0);
}
fn codes_iq4_nl(row: u32, b: u32) -> Codes {
  let q = weights_at(row + 4u * b);
  let low = q & vec4u(0x0f0f0f0fu);
  let high = (q >> vec4u(4u)) & vec4u(0x0f0f0f0fu);
  return Codes(
    vec4u(iq4_values(low.x), iq4_values(low.y), iq4_values(low.z), iq4_values(low.w)),
    vec4u(iq4_values(high.x), iq4_values(high.y), iq4_values(high.z), iq4_values(high.w)),
  );
}
