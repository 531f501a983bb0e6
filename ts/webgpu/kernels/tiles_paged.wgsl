// ATTEND for attend_tiles.wgsl: the batch is one run, and a tile of keys and values is a page of a cache.
override WINDOW: u32;
override CAP: f32;
@group(0) @binding(3) var<storage, read> pages: array<u32>;
@group(0) @binding(4) var<storage, read> kv: array<vec4u>;

// The last rows see most: they begin first.
fn query_rows(number: u32, count: u32) -> Rows {
  return Rows(32 * (count - 1 - number), N_HEAD / N_KV * batch.n_tokens, 0, batch.first_position);
}

fn lowest_seen(position: u32) -> u32 {
  return select(0, position - WINDOW + 1, WINDOW > 0 && position >= WINDOW);
}

fn highest_seen(rows: Rows, position: u32) -> u32 {
  return position;
}

fn score_of(z: vec4f, at: vec4u, position: u32, head: u32) -> vec4f {
  if (CAP > 0) {
    return capped(z, CAP);
  }
  return z;
}

fn place_of(rows: Rows, t: u32) -> u32 {
  return pages[p.table + t];
}

fn eight_at(is_value: bool, kv_head: u32, place: u32, token: u32, i: u32) -> mat2x4f {
  if (is_value) {
    return kv_eight(values_at(place, kv_head), v_width(), token, i);
  }
  return kv_eight(keys_at(place, kv_head), K_DIM, token, i);
}
