// SPDX-License-Identifier: Apache-2.0
// adapter.mjs: what WebGPU offers in this window, or why it offers nothing.

/** Features that the kernels use where an adapter has them, and what they are good for. */
const FEATURES = { 'shader-f16': '16-bit floats', subgroups: 'subgroups', 'timestamp-query': 'timestamps' };
const LANGUAGE = {
  packed_4x8_integer_dot_product: 'packed 8-bit dots',
  immediate_address_space: 'immediates',
};
const LIMITS = {
  maxBufferSize: 'Largest buffer',
  maxStorageBufferBindingSize: 'Largest binding',
  maxComputeWorkgroupStorageSize: 'Workgroup memory',
  maxComputeInvocationsPerWorkgroup: 'Invocations a workgroup',
  maxStorageBuffersPerShaderStage: 'Storage buffers a kernel',
};

/**
 * Resolves to { adapter, isProgram, features, limits }, or to { why } where there is no adapter. Never
 * rejects.
 */
export async function findAdapter() {
  if (!navigator.gpu)
    return {
      why: isSecureContext
        ? 'This browser has no WebGPU, or it is off in the settings.'
        : 'A page has WebGPU only at https: or on localhost.',
    };
  let adapter;
  try {
    adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch (error) {
    return { why: `The browser has WebGPU, but refuses an adapter: ${error.message}` };
  }
  if (!adapter) return { why: 'The browser has WebGPU, but no adapter for this machine.' };
  const { vendor, architecture, description, isFallbackAdapter, subgroupMinSize, subgroupMaxSize } =
    adapter.info;
  const language = navigator.gpu.wgslLanguageFeatures;
  const features = {};
  for (const [name, title] of Object.entries(FEATURES)) features[title] = adapter.features.has(name);
  for (const [name, title] of Object.entries(LANGUAGE)) features[title] = language?.has(name) ?? false;
  if (features.subgroups) {
    delete features.subgroups;
    features[`subgroups of ${sizes(subgroupMinSize, subgroupMaxSize)}`] = true;
  }
  const limits = {};
  for (const [name, title] of Object.entries(LIMITS))
    limits[title] = /Size$/.test(name) ? bytes(adapter.limits[name]) : String(adapter.limits[name]);
  return {
    adapter: [vendor, architecture, description].filter(Boolean).join(' ') || 'an adapter without a name',
    isProgram:
      isFallbackAdapter === true ||
      /swiftshader|llvmpipe|basic render/i.test(`${architecture} ${description}`),
    features,
    limits,
  };
}

const sizes = (least, most) =>
  least === undefined ? 'unknown size' : least === most ? least : `${least} to ${most}`;
const bytes = (count) =>
  count >= 2 ** 30
    ? `${+(count / 2 ** 30).toFixed(1)} GiB`
    : count >= 2 ** 20
      ? `${count >> 20} MiB`
      : `${count >> 10} KiB`;

/** Shows it in the elements `state`, `features` and `limits`. */
export function showAdapter({ why, adapter, isProgram, features, limits }, elements) {
  elements.state.dataset.status = why ? 'fail' : isProgram ? '' : 'pass';
  elements.state.textContent = why
    ? `${why} Models run on the CPU.`
    : `${adapter}${isProgram ? ': no GPU, but a program that plays one. It is slower than the CPU.' : ''}`;
  elements.features.hidden = elements.limits.hidden = why !== undefined;
  if (why) return;
  elements.features.replaceChildren(
    ...Object.entries(features).map(([title, has]) => {
      const item = Object.assign(document.createElement('li'), { textContent: title });
      item.dataset.has = String(has);
      return item;
    }),
  );
  elements.limits.replaceChildren(
    ...Object.entries(limits).map(([title, value]) => {
      const group = document.createElement('div');
      group.append(
        Object.assign(document.createElement('dt'), { textContent: title }),
        Object.assign(document.createElement('dd'), { textContent: value }),
      );
      return group;
    }),
  );
}
