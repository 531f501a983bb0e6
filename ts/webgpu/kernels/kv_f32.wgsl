fn kv_head_quads(width: u32) -> u32 {
  return 32 * 2 * ((width + 7) / 8);
}

fn kv_eight(head: u32, width: u32, token: u32, i: u32) -> mat2x4f {
  let at = head + 2 * (token * ((width + 7) / 8) + i);
  return mat2x4f(bitcast<vec4f>(kv[at]), bitcast<vec4f>(kv[at + 1]));
}
