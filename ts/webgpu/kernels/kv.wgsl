// A cache's page holds 32 tokens: keys [head][token][width], then values [head][token][width], in quads of
// four words. kv_f32, kv_f16 and kv_q8_0 know a head's part: `kv_head_quads` gives its length,
// `kv_eight(head, width, token, i)` elements [8 i, 8 i + 8) of a token, the first quad of the head being
// `head`. Behind a width that isn't a multiple of 8 are zeros.
override N_KV: u32;
override K_DIM: u32;
// 0: the values are the first part of the keys.
override V_DIM: u32;

fn v_width() -> u32 {
  return select(V_DIM, K_DIM, V_DIM == 0);
}

fn page_quads() -> u32 {
  var quads = kv_head_quads(K_DIM);
  if (V_DIM > 0) {
    quads += kv_head_quads(V_DIM);
  }
  return N_KV * quads;
}

// The first quad of a head's keys in a page.
fn keys_at(page: u32, head: u32) -> u32 {
  return page * page_quads() + head * kv_head_quads(K_DIM);
}

fn values_at(page: u32, head: u32) -> u32 {
  let first = select(N_KV * kv_head_quads(K_DIM), 0, V_DIM == 0);
  return page * page_quads() + first + head * kv_head_quads(v_width());
}
