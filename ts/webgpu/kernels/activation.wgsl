// The activations of program.h by their numbers. exp's argument has a bound, because an infinite result
// isn't certain to divide to 0.
override ACTIVATION: u32;

fn logistic(x: vec4f) -> vec4f {
  return 1 / (1 + exp(min(-x, vec4f(80))));
}

fn activation(x: vec4f) -> vec4f {
  if (ACTIVATION == 1) {
    return x * logistic(x);
  }
  if (ACTIVATION == 2) { // 0.5 (1 + tanh z) = logistic(2 z)
    return x * logistic(2 * 0.79788456080286536 * (x + 0.044715 * x * x * x));
  }
  let positive = max(x, vec4f(0));
  return select(positive, positive * positive, ACTIVATION == 4);
}
