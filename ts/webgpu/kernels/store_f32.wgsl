// store_part writes elements [STORE_UNIT * i, STORE_UNIT * (i + 1)) of one token of one head; source(j) is
// element j, 0 behind the width.
const STORE_UNIT = 8u;

fn store_part(head: u32, width: u32, token: u32, i: u32) {
  let at = head + 2 * (token * ((width + 7) / 8) + i);
  let j = 8 * i;
  kv[at] = bitcast<vec4u>(vec4f(source(j), source(j + 1), source(j + 2), source(j + 3)));
  kv[at + 1] = bitcast<vec4u>(vec4f(source(j + 4), source(j + 5), source(j + 6), source(j + 7)));
}
