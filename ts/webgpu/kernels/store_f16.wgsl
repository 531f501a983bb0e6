// As store_f32. Elements beyond f16 become its largest.
const STORE_UNIT = 8u;

fn halves(j: u32) -> u32 {
  return pack2x16float(clamp(vec2f(source(j), source(j + 1)), vec2f(-65504), vec2f(65504)));
}

fn store_part(head: u32, width: u32, token: u32, i: u32) {
  let j = 8 * i;
  kv[head + token * ((width + 7) / 8) + i] = vec4u(halves(j), halves(j + 2), halves(j + 4), halves(j + 6));
}
