// The input of a product is x + norm(h), which is also written to `sum`. Every workgroup needs the mean of
// h^2 before it begins. N_IN is a multiple of four.
@group(0) @binding(5) var<storage, read> h: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> sum: array<vec4f>;
// Strides in four floats.
override H_STRIDE: u32;
override SUM_STRIDE: u32;
override POST_EPS: f32;
override HAS_POST_WEIGHT: bool = false;

var<workgroup> h_squares: array<f32, 64u * TOKENS>;
var<workgroup> h_scales: array<f32, TOKENS>;

fn before(local: u32, first_token: u32, n_tokens: u32) {
  for (var i = 0u; i < TOKENS; i++) {
    var squares = 0.0;
    if (i < n_tokens) {
      for (var k = local; k < N_IN / 4u; k += 64u) {
        let four = h[(first_token + i) * H_STRIDE + k];
        squares += dot(four, four);
      }
    }
    h_squares[64u * i + local] = squares;
  }
  workgroupBarrier();
  if (local < TOKENS) {
    var squares = 0.0;
    for (var k = 0u; k < 64u; k++) {
      squares += h_squares[64u * local + (k + local) % 64u];
    }
    h_scales[local] = 1.0 / sqrt(squares / f32(N_IN) + POST_EPS);
  }
  workgroupBarrier();
}

// Token t is number i of the workgroup's tokens.
fn whole_input(writes: bool, i: u32, t: u32, b: u32, j: u32) -> vec4f {
  if (32u * b + 4u * j >= N_IN) {
    return vec4f(0.0);
  }
  var four = h[t * H_STRIDE + 8u * b + j] * h_scales[i];
  if (HAS_POST_WEIGHT) {
    four *= vector_part(p.post, b, j);
  }
  four += input(t, b, j);
  if (writes) {
    sum[t * SUM_STRIDE + 8u * b + j] = four;
  }
  return four;
}
