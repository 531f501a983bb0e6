// Ops that change each element of a row by itself, in place: y[t] = mapped(y[t]). ops.def has the formulas.
override WIDTH: u32;
override Y_STRIDE: u32;
override KIND: u32; // Mapped of rows.ts
override EACH: u32 = 0; // SCALE: a weight of each element
override PERIOD: u32 = 1;
override ROW: u32 = 0xffffffff; // ADD_ROW: the table's row; by default that of the token's position
override POSITIONS: bool; // a batch of texts: `positions` has those of its rows
// At most four numbers of the op; `weight` is a place in `vectors`, or 0xffffffff.
struct Params {
  a: f32,
  b: f32,
  c: f32,
  d: f32,
  weight: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;

fn position_of(row: u32) -> u32 {
  if (POSITIONS) {
    return positions[row];
  }
  return batch.first_position + row;
}

fn xielu(x: vec4f) -> vec4f {
  let below = p.a * (exp(min(x, vec4f(p.d))) - 1 - x);
  return select(below, p.b * x * x, x > vec4f(0)) + p.c * x;
}

// Elements 4 i .. 4 i + 3 of row `row` of the weight.
fn weights_of(row: u32, i: u32) -> vec4f {
  let at = p.weight + row * WIDTH + min(vec4u(4 * i) + vec4u(0, 1, 2, 3), vec4u(WIDTH - 1));
  return vec4f(vectors[at.x], vectors[at.y], vectors[at.z], vectors[at.w]);
}

// ln(1 + exp(z)), whose exp never overflows.
fn softplus(z: vec4f) -> vec4f {
  return max(z, vec4f(0)) + log(1 + exp(-abs(z)));
}

fn scaled(x: vec4f, i: u32) -> vec4f {
  if (p.weight == 0xffffffff) {
    return x * p.a;
  }
  return x * p.a * select(vec4f(vectors[p.weight]), weights_of(0, i), EACH == 1);
}

fn mapped(x: vec4f, row: u32, i: u32) -> vec4f {
  switch KIND {
    case 0: {
      return scaled(x, i);
    }
    case 1: { // rows are the batch's
      return x * (1 + p.a * log(1 + f32(position_of(row) / PERIOD)));
    }
    case 4: {
      return softplus(x + weights_of(0, i));
    }
    case 5: {
      return x + weights_of(select(ROW, position_of(row), ROW == 0xffffffff), i);
    }
    case 2: {
      return clamp(x, vec4f(-p.a), vec4f(p.a));
    }
    default: {
      return xielu(x);
    }
  }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (4 * id.x >= WIDTH) {
    return;
  }
  let at = id.y * (Y_STRIDE / 4) + id.x;
  y[at] = select(y[at], mapped(y[at], id.y, id.x), inside(id.x, WIDTH));
}
