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
  if (ACTIVATION == 5) {
    return logistic(x);
  }
  let positive = max(x, vec4f(0));
  return select(positive, positive * positive, ACTIVATION == 4);
}

// What GLU makes of gate and up.
fn gated(gate: vec4f, up: vec4f) -> vec4f {
  if (ACTIVATION == 6) { // gpt-oss
    let x = min(gate, vec4f(7));
    return x * logistic(1.702 * x) * (clamp(up, vec4f(-7), vec4f(7)) + 1);
  }
  if (ACTIVATION == 7) {
    return gate * up;
  }
  return activation(gate) * up;
}
