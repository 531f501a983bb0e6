// Brings rows of floats into f16 for matmul_half.wgsl. Each group of 32 elements is multiplied by the power of
// two that brings the largest to 2^14 or above: no activation overflows, and what f16 has no bits for is less
// than 2^-28 of the largest. A group takes 20 words: 16 of two elements each, then 1 / the power, the sums of
// both halves as they were rounded, and 0. An invocation makes one group.
override N_IN: u32;
@group(0) @binding(2) var<storage, read_write> staged: array<vec4u>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let groups = (N_IN + 31u) / 32u;
  if (id.x >= groups || id.y >= batch.n_tokens) {
    return;
  }
  var four = array<vec4f, 8>();
  var top = vec4f(0.0);
  for (var j = 0u; j < 8u; j++) {
    four[j] = input(id.y, id.x, j);
    top = max(top, abs(four[j]));
  }
  // The exponent field of the largest, so far from its ends that both powers have one.
  let e = clamp(bitcast<u32>(max(max(top.x, top.y), max(top.z, top.w))) >> 23u, 15u, 254u);
  let power = bitcast<f32>((268u - e) << 23u);
  let scale = bitcast<f32>((e - 14u) << 23u);
  let at = 5u * (id.y * groups + id.x);
  var sums = vec2f();
  for (var i = 0u; i < 4u; i++) {
    let a = four[2u * i] * power;
    let b = four[2u * i + 1u] * power;
    let words = vec4u(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
    staged[at + i] = words;
    sums[i / 2u] += dot(unpack2x16float(words.x) + unpack2x16float(words.y), vec2f(1.0))
      + dot(unpack2x16float(words.z) + unpack2x16float(words.w), vec2f(1.0));
  }
  staged[at + 4u] = bitcast<vec4u>(vec4f(scale, scale * sums, 0.0));
}
