// Brings rows of floats into q8 as src/quant/act.h describes: groups of 32 codes with one scale, max|x| /
// 127. A row of q is N_IN / 4 words of four codes each, then the N_IN / 32 scales. An invocation makes one
// group; where 1 / d would overflow, of zeros.
override N_IN: u32;
@group(0) @binding(2) var<storage, read_write> q: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let b = id.x;
  let t = id.y;
  if (b >= N_IN / 32u || t >= batch.n_tokens) {
    return;
  }
  var four = array<vec4f, 8>();
  var top = vec4f(0.0);
  for (var j = 0u; j < 8u; j++) {
    four[j] = input(t, b, j);
    top = max(top, abs(four[j]));
  }
  let d = max(max(top.x, top.y), max(top.z, top.w)) / 127.0;
  let factor = select(0.0, 1.0 / d, d > 1e-37);
  let row = t * (N_IN / 4u + N_IN / 32u);
  for (var j = 0u; j < 8u; j++) {
    let codes = vec4i(clamp(round(four[j] * factor), vec4f(-127.0), vec4f(127.0)));
    let bytes = (bitcast<vec4u>(codes) & vec4u(255u)) << vec4u(0u, 8u, 16u, 24u);
    q[row + 8u * b + j] = bytes.x | bytes.y | bytes.z | bytes.w;
  }
  q[row + N_IN / 4u + b] = bitcast<u32>(d);
}
