// How attention of few tokens is split over positions: into at most MOST_CHUNKS chunks of equal length, a
// multiple of CHUNK, from the page of the first position that any query sees to the last query's own.
// attend.ts computes the same. A query row is one head of one token.
override N_HEAD: u32;
override V_OUT: u32;
override WINDOW: u32;
override MOST_CHUNKS: u32;
override Y_STRIDE: u32;
const LOWEST = -3.0e38;

fn first_seen() -> u32 {
  if (WINDOW > 0 && batch.first_position >= WINDOW) {
    return batch.first_position - WINDOW + 1;
  }
  return 0;
}

fn end_position() -> u32 {
  return batch.first_position + batch.n_tokens;
}

fn chunk_length() -> u32 {
  let n = end_position() - first_seen() / 32 * 32;
  return (n + MOST_CHUNKS * CHUNK - 1) / (MOST_CHUNKS * CHUNK) * CHUNK;
}

fn n_chunks() -> u32 {
  let length = chunk_length();
  return (end_position() - first_seen() / 32 * 32 + length - 1) / length;
}

// Where the part of a query row and a chunk begins in `partial`: V_OUT sums, the maximum, the total weight.
fn part_at(token: u32, head: u32, chunk: u32) -> u32 {
  return ((token * N_HEAD + head) * MOST_CHUNKS + chunk) * (V_OUT + 2);
}
