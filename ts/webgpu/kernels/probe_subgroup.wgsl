// What kernels over subgroups rely on: each invocation writes the size of its subgroup, or 0 where a partner
// of subgroupShuffleXor isn't the invocation that many places on in the workgroup.
override THREADS: u32;
@group(0) @binding(2) var<storage, read_write> sizes: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) local: u32) {
  let size = subgroupAdd(1u);
  var wrong = 0u;
  for (var i = 1u; i < THREADS; i <<= 1u) {
    let other = subgroupShuffleXor(local, i);
    wrong |= select(0u, other ^ local ^ i, i < size);
  }
  sizes[local] = select(0.0, f32(size), wrong == 0u);
}
