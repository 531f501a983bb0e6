// Which tokens each expert has, for experts_tiles.wgsl. A pair is t * N_USED + u: token t, its chosen expert
// number u. `table` has, for each of MOST_TILES tiles, an expert, its first pair's place among the pairs, and
// how many pairs it has (0: none), at most TILE_TOKENS; then the pairs, an expert's in any order.
override N_USED: u32;
override ROUTE_STRIDE: u32;
override MOST_TILES: u32;
@group(0) @binding(2) var<storage, read> route: array<f32>;
@group(0) @binding(3) var<storage, read_write> table: array<u32>;

var<workgroup> counts: array<atomic<u32>, N_EXPERT>;
var<workgroup> first_pairs: array<u32, N_EXPERT>;
var<workgroup> first_tiles: array<u32, N_EXPERT + 1>;

fn expert_of(pair: u32) -> u32 {
  let at = pair / N_USED * ROUTE_STRIDE + pair % N_USED;
  return min(u32(max(route[at], 0.0)), N_EXPERT - 1);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
  let n = batch.n_tokens * N_USED;
  for (var e = lane; e < N_EXPERT; e += 256) {
    atomicStore(&counts[e], 0);
  }
  workgroupBarrier();
  for (var pair = lane; pair < n; pair += 256) {
    atomicAdd(&counts[expert_of(pair)], 1);
  }
  workgroupBarrier();
  if (lane == 0) {
    var pairs = 0u;
    var tiles = 0u;
    for (var e = 0u; e < N_EXPERT; e++) {
      let count = atomicLoad(&counts[e]);
      first_pairs[e] = pairs;
      first_tiles[e] = tiles;
      pairs += count;
      tiles += (count + TILE_TOKENS - 1) / TILE_TOKENS;
    }
    first_tiles[N_EXPERT] = tiles;
  }
  workgroupBarrier();
  for (var e = lane; e < N_EXPERT; e += 256) {
    let count = atomicExchange(&counts[e], 0);
    for (var i = 0u; i * TILE_TOKENS < count; i++) {
      let at = 3 * (first_tiles[e] + i);
      table[at] = e;
      table[at + 1] = first_pairs[e] + i * TILE_TOKENS;
      table[at + 2] = min(count - i * TILE_TOKENS, TILE_TOKENS);
    }
  }
  for (var tile = first_tiles[N_EXPERT] + lane; tile < MOST_TILES; tile += 256) {
    table[3 * tile + 2] = 0;
  }
  workgroupBarrier();
  for (var pair = lane; pair < n; pair += 256) {
    let e = expert_of(pair);
    table[3 * MOST_TILES + first_pairs[e] + atomicAdd(&counts[e], 1)] = pair;
  }
}
