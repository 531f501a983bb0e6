// Common to the kernels of sampling: what sample.ts writes for a draw, and the order of candidates.
// A candidate is (key, id). Keys are in the order of the logits, and equal for equal logits. The key 0 is no
// candidate's: a logit of -inf has it. Candidates are in order by descending key, then by ascending id.
// NaN and inf are only looked at as bits, because a kernel may not count on them.
struct Params {
  n_vocab: u32,
  stride: u32, // of a row of logits
  n_chunks: u32,
  n_tokens: u32, // length of `tokens`
  n_records: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
struct Sampling {
  random: u32, // the number of this draw times 2^32
  record: u32, // where the result is written
  top_k: u32, // 0: all
  top_p: f32,
  has_min_p: u32,
  log_min_p: f32,
  inverse_temperature: f32,
  farthest: f32, // a logit this far from the best one has a weight that rounds to 0
  n_bias: u32,
  penalises: u32,
  repetition: f32,
  frequency: f32,
  presence: f32,
  whole_top_p: u32, // top_p times 2^32
  reserved1: u32,
  reserved2: u32,
}
// What a chunk of the vocabulary says beside its best candidates.
struct Chunk {
  flags: u32,
  n: u32, // tokens with a logit above -inf
  sum: f32, // of exp(logit - best logit of the chunk), if top-p needs it
  reserved: u32,
}
const NOT_FINITE: u32 = 1u; // a logit is NaN or +inf
const TOO_LARGE: u32 = 2u; // a logit is so large that bias or penalties might overflow
const NO_CANDIDATE: u32 = 4u;
const NOT_COVERED: u32 = 8u; // the answer depends on more than the best candidates

const THREADS: u32 = 256u;
const EACH: u32 = 4u; // logits of a chunk per thread
const CHUNK: u32 = THREADS * EACH;
const BEST: u32 = 64u; // candidates of a chunk
const NONE: vec2u = vec2u(0u, 0xffffffffu);
const MINUS_INFINITY: u32 = 0xff800000u;

fn key_of(bits: u32) -> u32 {
  let same_zero = select(bits, 0u, bits == 0x80000000u);
  return select(same_zero | 0x80000000u, ~same_zero, same_zero >= 0x80000000u);
}

// For the key 0, -FLT_MAX.
fn logit_of(key: u32) -> f32 {
  let real = max(key, 0x00800000u);
  return bitcast<f32>(select(~real, real & 0x7fffffffu, real >= 0x80000000u));
}

fn is_before(a: vec2u, b: vec2u) -> bool {
  return (a.x > b.x) | ((a.x == b.x) & (a.y < b.y));
}

// One array for all purposes, because software adapters take a second to compile the clearing of 1,000 words.
var<workgroup> pool: array<vec2u, BEST * (EACH + 1u)>;
var<workgroup> parts: array<vec2u, 16>;

// Returns the first in order of what the threads bring, to all of them.
fn first_of(mine: vec2u, t: u32) -> vec2u {
  pool[t] = mine;
  workgroupBarrier();
  if (t < 16u) {
    var first = NONE;
    for (var i = 0u; i < THREADS / 16u; i++) {
      let other = pool[t * (THREADS / 16u) + i];
      first = select(first, other, is_before(other, first));
    }
    parts[t] = first;
  }
  workgroupBarrier();
  var first = NONE;
  for (var i = 0u; i < 16u; i++) {
    first = select(first, parts[i], is_before(parts[i], first));
  }
  return first;
}
