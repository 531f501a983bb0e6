// What every kernel knows of the batch. dispatch.ts has the same fields.
struct Batch {
  n_tokens: u32,
  first_position: u32,
  n_outputs: u32,
  reserved: u32,
}
@group(0) @binding(0) var<uniform> batch: Batch;
