// The input of a product is x.
fn before(local: u32, first_token: u32, n_tokens: u32) {}
fn whole_input(writes: bool, i: u32, t: u32, b: u32, j: u32) -> vec4f {
  return input(t, b, j);
}
