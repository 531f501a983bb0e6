// One to three matrices (segments) with a common input: each with its first row's word in `weights`, a
// bias in `vectors`, and its own output y0, y1 or y2, in whose rows it begins at element `out`. Workgroups
// of segment 0 come first.
struct Params {
  weights0: u32,
  weights1: u32,
  weights2: u32,
  bias0: u32,
  bias1: u32,
  bias2: u32,
  out0: u32,
  out1: u32,
  out2: u32,
  norm: u32,
  post: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;

// Rows of each segment. A segment that isn't there has none.
override COUNT0: u32;
override COUNT1: u32 = 0;
override COUNT2: u32 = 0;
override ROW_WORDS0: u32;
override ROW_WORDS1: u32 = 0;
override ROW_WORDS2: u32 = 0;
override BIAS0: bool = false;
override BIAS1: bool = false;
override BIAS2: bool = false;
// From one row of an output to the next, in floats.
override STRIDE0: u32;
override STRIDE1: u32 = 0;
override STRIDE2: u32 = 0;
override ADD: bool = false;
override OUTPUT_ROWS: bool = false;

struct Segment {
  s: u32,
  // The workgroup's number within the segment.
  tile: u32,
  count: u32,
  row_words: u32,
  weights: u32,
  has_bias: bool,
  bias: u32,
  out: u32,
  stride: u32,
}

// A workgroup computes `rows` rows of a segment. The count is 0 past the last segment.
fn segment_of(number: u32, rows: u32) -> Segment {
  let tiles0 = (COUNT0 + rows - 1u) / rows;
  let tiles1 = (COUNT1 + rows - 1u) / rows;
  let tiles2 = (COUNT2 + rows - 1u) / rows;
  if (number < tiles0) {
    return Segment(0u, number, COUNT0, ROW_WORDS0, p.weights0, BIAS0, p.bias0, p.out0, STRIDE0);
  }
  if (number < tiles0 + tiles1) {
    return Segment(1u, number - tiles0, COUNT1, ROW_WORDS1, p.weights1, BIAS1, p.bias1, p.out1, STRIDE1);
  }
  let tile = number - tiles0 - tiles1;
  let count = select(0u, COUNT2, tile < tiles2);
  return Segment(2u, tile, count, ROW_WORDS2, p.weights2, BIAS2, p.bias2, p.out2, STRIDE2);
}

fn n_rows() -> u32 {
  return select(batch.n_tokens, batch.n_outputs, OUTPUT_ROWS);
}

// Four of a vector's N_IN elements, those that belong to input(t, b, j).
fn vector_part(vector: u32, b: u32, j: u32) -> vec4f {
  let first = vec4u(32u * b + 4u * j) + vec4u(0u, 1u, 2u, 3u);
  let at = vector + select(min(first, vec4u(N_IN - 1u)), first, N_IN % 32u == 0u);
  return vec4f(vectors[at.x], vectors[at.y], vectors[at.z], vectors[at.w]);
}

fn biased(product: f32, has_bias: bool, at: u32) -> f32 {
  if (has_bias) {
    return product + vectors[at];
  }
  return product;
}

// Writes the product of row `row` of a segment and input row t.
fn finish(segment: Segment, row: u32, t: u32, product: f32) {
  let result = biased(product, segment.has_bias, segment.bias + row);
  put(segment.s, t * segment.stride + segment.out + row, result);
}
