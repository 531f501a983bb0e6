// Sampling: where the drawn token goes.
@group(0) @binding(2) var<uniform> sampling: Sampling;
@group(0) @binding(3) var<storage, read> candidates: array<vec2u>; // [rank][chunk]
@group(0) @binding(4) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(5) var<storage, read_write> tokens: array<u32>;
// (id or 0xffffffff, position, flags, bits of the id's logit after bias and penalties)
@group(0) @binding(6) var<storage, read_write> records: array<vec4u>;

var<workgroup> flags: atomic<u32>;

// Where no token was drawn, a step ahead reads token 0. The host drops that step.
fn write(token: vec2u, faults: u32) {
  let position = batch.first_position + batch.n_tokens;
  let is_drawn = faults == 0u;
  if (position < p.n_tokens) {
    tokens[position] = select(0u, token.y, is_drawn);
  }
  records[min(sampling.record, p.n_records - 1u)] = vec4u(
    select(0xffffffffu, token.y, is_drawn),
    position,
    faults,
    select(0u, bitcast<u32>(logit_of(token.x)), is_drawn),
  );
}
