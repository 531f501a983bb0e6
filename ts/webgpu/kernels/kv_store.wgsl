// KV_STORE: keys and values of token t go to its position in the cache. One part of one head of one token an
// invocation.
override KEYS_STRIDE: u32;
override VALUES_STRIDE: u32;
struct Params {
  table: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> keys: array<f32>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read> pages: array<u32>;
@group(0) @binding(5) var<storage, read_write> kv: array<vec4u>;

var<private> is_value: bool;
var<private> first: u32;
var<private> width: u32;

fn source(j: u32) -> f32 {
  if (j >= width) {
    return 0;
  }
  if (is_value) {
    return values[first + j];
  }
  return keys[first + j];
}

fn parts(n: u32) -> u32 {
  return (n + STORE_UNIT - 1) / STORE_UNIT;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let t = id.y;
  let n_key_parts = N_KV * parts(K_DIM);
  if (id.x >= n_key_parts + N_KV * parts(V_DIM)) {
    return;
  }
  let position = batch.first_position + t;
  let page = pages[p.table + position / 32];
  is_value = id.x >= n_key_parts;
  width = select(K_DIM, V_DIM, is_value);
  let part = select(id.x, id.x - n_key_parts, is_value);
  let n_parts = parts(width);
  let head = part / n_parts;
  first = t * select(KEYS_STRIDE, VALUES_STRIDE, is_value) + head * width;
  let at = select(keys_at(page, head), values_at(page, head), is_value);
  store_part(at, width, position % 32, part % n_parts);
}
