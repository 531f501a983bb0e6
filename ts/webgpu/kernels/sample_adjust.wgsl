// Sampling: the logits of a chunk of the vocabulary with bias and penalties.
@group(0) @binding(2) var<uniform> sampling: Sampling;
@group(0) @binding(3) var<storage, read> logits: array<u32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> bias: array<vec2u>; // (id, bits of the float added), ids ascend
@group(0) @binding(6) var<storage, read_write> candidates: array<vec2u>; // [rank][chunk]
@group(0) @binding(7) var<storage, read_write> chunks: array<Chunk>;

const WINDOW: u32 = 64u; // tokens that the penalties look at
const LARGE: f32 = 1e30; // what is smaller can't overflow: bias <= 3e38, penalties <= 1e6

var<workgroup> recent: array<u32, WINDOW>;
var<workgroup> n_recent: u32;
var<workgroup> flags: atomic<u32>;
var<workgroup> n_present: atomic<u32>;

// Begins: reads the penalties' window, which ends with the batch's last token. A token that the GPU drew is
// there already.
fn read_window(t: u32) {
  let position = batch.first_position + batch.n_tokens;
  let n = select(0u, min(position, WINDOW), sampling.penalises != 0u);
  if (t < n) {
    recent[t] = tokens[position - n + t];
  }
  if (t == 0u) {
    n_recent = n;
    atomicStore(&flags, 0u);
    atomicStore(&n_present, 0u);
  }
  workgroupBarrier();
}

// The first pair of the bias with an id of at least `id`.
fn bias_from(id: u32) -> u32 {
  var low = 0u;
  var high = sampling.n_bias;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (bias[middle].x < id) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return low;
}

// Returns the candidate of token `id` after bias and penalties. An embedding in the window is 0xffffffff.
fn candidate_of(id: u32) -> vec2u {
  if (id >= p.n_vocab) {
    return NONE;
  }
  var bits = logits[(batch.n_outputs - 1u) * p.stride + id];
  if ((bits & 0x7f800000u) == 0x7f800000u) {
    if (bits != MINUS_INFINITY) {
      atomicOr(&flags, NOT_FINITE);
    }
    return NONE;
  }
  if (sampling.n_bias > 0u) {
    let pair = bias[min(bias_from(id), sampling.n_bias - 1u)];
    if (pair.x == id) {
      if (pair.y == MINUS_INFINITY) {
        return NONE;
      }
      if (abs(bitcast<f32>(bits)) >= LARGE) {
        atomicOr(&flags, TOO_LARGE);
        return NONE;
      }
      bits = bitcast<u32>(bitcast<f32>(bits) + bitcast<f32>(pair.y));
    }
  }
  var count = 0u;
  for (var i = 0u; i < n_recent; i++) {
    count += select(0u, 1u, recent[i] == id);
  }
  if (count > 0u) {
    let x = bitcast<f32>(bits);
    if (abs(x) >= LARGE) {
      atomicOr(&flags, TOO_LARGE);
      return NONE;
    }
    let scaled = select(x * sampling.repetition, x / sampling.repetition, x > 0.0);
    bits = bitcast<u32>(scaled - (f32(count) * sampling.frequency + sampling.presence));
  }
  return vec2u(key_of(bits), id);
}
