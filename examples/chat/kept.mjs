// SPDX-License-Identifier: Apache-2.0
// kept.mjs: the models that the package keeps on this device: each can be loaded again, or deleted.
import { cacheUsage, deleteModel, listModels } from '../../dist/index.js';
import { knownModel } from '../models.mjs';
import { element } from './markup.mjs';

const size = (bytes) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`;
const titleOf = ({ source, name }) => knownModel(source)?.title ?? name;

/**
 * Shows the list in `place`, or hides `place` when nothing is kept. `load(source)` is called for a click on a
 * model, `say(text)` after one is deleted.
 */
export async function showKept(place, load, say) {
  const models = await listModels().catch(() => []);
  place.hidden = models.length === 0;
  if (models.length === 0) return void place.replaceChildren();
  const list = element('ul', { className: 'models kept' });
  list.append(...models.map((model) => item(model, load, () => showKept(place, load, say), say)));
  const { bytes, quota } = await cacheUsage();
  const total = `${size(bytes)} kept${quota ? `; this browser allows ${size(quota)}` : ''}`;
  place.replaceChildren(
    element('h3', { textContent: 'On this device' }),
    list,
    element('p', { className: 'soft', textContent: total }),
  );
}

function item(model, load, refresh, say) {
  const { source, bytes, totalBytes, isComplete } = model;
  const title = titleOf(model);
  const facts = isComplete
    ? `${size(bytes)}${knownModel(source) ? ', the copy kept of the model above' : ''}`
    : `${size(bytes)}${totalBytes ? ` of ${size(totalBytes)}` : ''}, not complete: go on`;
  const open = element(
    'button',
    { type: 'button', className: 'model', title: source },
    element('b', { textContent: title }),
    element('small', { textContent: facts }),
  );
  open.addEventListener('click', () => load(source));
  const remove = element('button', { type: 'button', className: 'delete', textContent: 'Delete' });
  remove.ariaLabel = `Delete ${title}`;
  remove.addEventListener('click', async () => {
    remove.disabled = true;
    try {
      await deleteModel(source);
      say(`${title} is deleted.`);
      await refresh();
    } catch (error) {
      open.append(element('small', { className: 'bad', textContent: error.message }));
      remove.disabled = false;
    }
  });
  return element('li', {}, open, remove);
}
