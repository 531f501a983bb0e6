// What the kernels of EXPERTS share. A stack is [N_EXPERT][EXPERT_ROWS][N_IN]; a product uses COUNT rows from
// row ROW on of an expert. Stack 1 is there where gate and up are computed at once. Of a stack that is larger
// than a binding, a part is bound: rows [begin, begin + held) of all experts' rows in a line.
struct Params {
  word0: u32, // of the part's first row
  begin0: u32,
  held0: u32,
  word1: u32,
  begin1: u32,
  held1: u32,
  bias0: u32,
  bias1: u32,
  norm: u32,
  word2: u32,
  word3: u32,
  scale0: u32,
  scale1: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;

override N_EXPERT: u32;
override N_USED: u32;
override COUNT: u32;
override EXPERT_ROWS0: u32;
override EXPERT_ROWS1: u32 = 0;
override ROW0: u32 = 0;
override ROW1: u32 = 0;
override ROW_WORDS0: u32;
override ROW_WORDS1: u32 = 0;
override BIAS0: bool = false;
override BIAS1: bool = false;
override SCALED0: bool = false;
override SCALED1: bool = false;
// From one token's output to the next, in floats.
override STRIDE: u32;
// From one chosen expert's input to the next, in four floats; 0: all have the same.
override EACH: u32 = 0;
// Each token has all experts, in order.
override ALL: bool = false;

// The number of a row among the rows of all experts.
fn row_of(s: u32, expert: u32, row: u32) -> u32 {
  return select(expert * EXPERT_ROWS0 + ROW0, expert * EXPERT_ROWS1 + ROW1, s == 1u) + row;
}

// Whether the part that is bound has such a row.
fn is_held(s: u32, row: u32) -> bool {
  return PARTED == 0u || select(row - p.begin0 < p.held0, row - p.begin1 < p.held1, s == 1u);
}

// The word of a row that is_held(); otherwise of another.
fn word_of(s: u32, row: u32) -> u32 {
  if (s == 1u) {
    return p.word1 + select(0u, row - p.begin1, is_held(1u, row)) * ROW_WORDS1;
  }
  return p.word0 + select(0u, row - p.begin0, is_held(0u, row)) * ROW_WORDS0;
}

// By which an expert's products are multiplied.
fn scale_of(s: u32, expert: u32) -> f32 {
  if (s == 1u) {
    return select(1.0, vectors[p.scale1 + select(0u, expert, SCALED1)], SCALED1);
  }
  return select(1.0, vectors[p.scale0 + select(0u, expert, SCALED0)], SCALED0);
}

fn bias_of(s: u32, row: u32) -> f32 {
  if (s == 1u) {
    return select(0.0, vectors[p.bias1 + select(0u, row, BIAS1)], BIAS1);
  }
  return select(0.0, vectors[p.bias0 + select(0u, row, BIAS0)], BIAS0);
}
