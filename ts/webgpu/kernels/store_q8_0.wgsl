// As store_f32, for two blocks of 32 elements. A code is rounded half away from zero, with the scale before
// it is rounded to f16, as quant/act.c does.
const STORE_UNIT = 64u;

fn store_block(at: u32, j: u32) -> f32 {
  var most = 0.0;
  for (var k = 0u; k < 32; k++) {
    most = max(most, abs(source(j + k)));
  }
  let d = most / 127;
  let by = select(0, 1 / d, d > 0);
  for (var q = 0u; q < 2; q++) {
    var words = vec4u(0);
    for (var k = 0u; k < 16; k++) {
      let x = source(j + 16 * q + k) * by;
      let code = i32(min(floor(abs(x) + 0.5), 127) * sign(x));
      words[k / 4] |= u32(code & 255) << (8 * (k % 4));
    }
    kv[at + q] = words;
  }
  return min(d, 65504);
}

fn store_part(head: u32, width: u32, token: u32, i: u32) {
  let at = head + token * (width / 16) + 4 * i;
  var scales = vec2f(store_block(at, 64 * i), 0);
  if (64 * i + 32 < width) {
    scales.y = store_block(at + 2, 64 * i + 32);
  }
  let word = kv_scale_word(head, width, token, i);
  kv[word / 4][word % 4] = pack2x16float(scales);
}
