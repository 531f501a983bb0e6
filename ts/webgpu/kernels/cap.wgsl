// cap * tanh(x / cap). WGSL's tanh may be wrong by 1e-5; this is wrong by few roundings of 1.
fn capped(x: vec4f, cap: f32) -> vec4f {
  let t = exp(max(abs(x) * (-2 / cap), vec4f(-80)));
  return sign(x) * (cap * ((1 - t) / (1 + t)));
}
