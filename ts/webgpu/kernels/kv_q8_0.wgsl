// A head's part: codes [token][width], then scales [token][ceil(width / 64)]: words of two f16, each the
// scale of 32 codes. The width is a multiple of 32.
fn kv_head_quads(width: u32) -> u32 {
  return 2 * width + 8 * ((width + 63) / 64);
}

// The word of the scales of elements [64 i, 64 i + 64).
fn kv_scale_word(head: u32, width: u32, token: u32, i: u32) -> u32 {
  return 4 * head + 8 * width + token * ((width + 63) / 64) + i;
}

fn kv_codes(word: u32) -> vec4f {
  return vec4f((vec4i(bitcast<i32>(word)) << vec4u(24, 16, 8, 0)) >> vec4u(24));
}

fn kv_eight(head: u32, width: u32, token: u32, i: u32) -> mat2x4f {
  let codes = kv[head + token * (width / 16) + i / 2];
  let two = select(codes.xy, codes.zw, i % 2 == 1);
  let at = kv_scale_word(head, width, token, i / 8);
  let scales = unpack2x16float(kv[at / 4][at % 4]);
  return select(scales.x, scales.y, i % 8 > 3) * mat2x4f(kv_codes(two.x), kv_codes(two.y));
}
