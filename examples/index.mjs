// SPDX-License-Identifier: Apache-2.0
// index.mjs: the index of the pages. A link with ?model=ADDRESS&start=1 makes a page load that model at once.
import { describeModel, findModels } from './models.mjs';

const PAGES = { Chat: 'chat/', Checks: 'test-async/', WebGPU: 'test-webgpu/', Benchmark: '../bench/' };

const items = (await findModels()).map((model) => {
  const item = document.createElement('li');
  item.append(describeModel(model));
  if (!model.isPresent) return item;
  const links = Object.assign(document.createElement('div'), { className: 'go' });
  for (const [name, page] of Object.entries(PAGES)) {
    if (name === 'Chat' && model.isBase) continue;
    const href = `${page}?${new URLSearchParams({ model: model.address, start: '1' })}`;
    links.append(Object.assign(document.createElement('a'), { href, textContent: name }));
  }
  item.append(links);
  return item;
});
document.getElementById('models').replaceChildren(...items);
document.documentElement.dataset.ready = 'true';
