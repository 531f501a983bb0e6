// Joins the chunks of attend_split, one query row a workgroup.
struct Params {
  sinks: u32,
}
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;

var<workgroup> weights: array<f32, MOST>;
var<workgroup> totals: array<f32, MOST>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = min(n_chunks(), MOST);
  for (var i = lane; i < n; i += 64) {
    let at = part_at(group.y, group.x, i) + V_OUT;
    weights[i] = partial[at];
    totals[i] = partial[at + 1];
  }
  workgroupBarrier();
  var top = LOWEST;
  for (var i = 0u; i < n; i++) {
    top = max(top, weights[i]);
  }
  workgroupBarrier();
  for (var i = lane; i < n; i += 64) {
    weights[i] = exp(max(weights[i] - top, -80));
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < n; i++) {
    total += weights[i] * totals[i];
  }
  let by = share(total, top, group.x);
  for (var d = lane; d < V_OUT; d += 64) {
    var sum = 0.0;
    for (var i = 0u; i < n; i++) {
      sum += weights[i] * partial[part_at(group.y, group.x, i) + d];
    }
    y[group.y * Y_STRIDE + group.x * V_OUT + d] = sum * by;
  }
}
