// The twelve bytes of scales and offsets of Q4_K and Q5_K (src/quant/q4_k.c); `at` is the block's first word.
fn scale_of_k(at: u32, i: u32) -> vec4f {
  let two = unpack2x16float(weight(at));
  let shift = 8u * (i % 4u);
  let first = weight(at + 1u) >> shift;
  let second = weight(at + 2u) >> shift;
  let third = weight(at + 3u) >> shift;
  let low = vec2u(first & 63u, second & 63u);
  let high = vec2u((third & 15u) | (((first >> 6u) & 3u) << 4u),
                   ((third >> 4u) & 15u) | (((second >> 6u) & 3u) << 4u));
  let both = vec2f(select(low, high, i >= 4u)) * vec2f(two.x, -two.y);
  return both.xxyy;
}
