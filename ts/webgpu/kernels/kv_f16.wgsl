// A quad has eight halves.
fn kv_head_quads(width: u32) -> u32 {
  return 32 * ((width + 7) / 8);
}

fn kv_eight(head: u32, width: u32, token: u32, i: u32) -> mat2x4f {
  let z = kv[head + token * ((width + 7) / 8) + i];
  return mat2x4f(
    vec4f(unpack2x16float(z.x), unpack2x16float(z.y)),
    vec4f(unpack2x16float(z.z), unpack2x16float(z.w)));
}
