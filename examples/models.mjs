// SPDX-License-Identifier: Apache-2.0
// models.mjs: the models that the pages offer by one click: files that lie in models/ beside this folder, and
// the command that fetches a file that is missing there.
//
// tools/serve.mjs lists the folder at models/index.json. Behind another server without such a list every
// model counts as missing, and the pages still take an address or a file.

const FOLDER = new URL('../models/', import.meta.url);

const KNOWN = [
  {
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    title: 'SmolLM2 135M Instruct',
    megabytes: 98,
    licence: 'Apache-2.0',
    note: 'tiny and quick; knows little and often errs',
    command: 'make model',
  },
  {
    file: 'Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf',
    title: 'Qwen2.5 Coder 0.5B Instruct',
    megabytes: 491,
    licence: 'Apache-2.0',
    note: 'small; better answers, best about code',
    command: 'make model-qwen2.5-coder-0.5b',
  },
  {
    file: 'Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf',
    title: 'Qwen2.5 Coder 1.5B Instruct',
    megabytes: 1117,
    licence: 'Apache-2.0',
    note: 'the best answers of these four; slow on a phone',
    command: 'make model-qwen2.5-coder-1.5b',
  },
  {
    file: 'gemma-3-270m.Q4_K_M.gguf',
    title: 'Gemma 3 270M',
    megabytes: 253,
    licence: "Gemma's terms of use",
    note: 'a base model: it continues a text, it has no chat',
    command: 'make model-gemma3-270m',
    isBase: true,
  },
];

/** The known model at `address`, or with that file name; undefined if there is none. */
export const knownModel = (address) =>
  KNOWN.find(({ file }) => String(address).split(/[/?#]/).includes(file));

/**
 * Resolves to [{ file, title, megabytes, licence?, note?, command?, isBase?, address, isPresent }]: the known
 * models, then other files in the folder.
 */
export async function findModels() {
  let found = [];
  try {
    const response = await fetch(new URL('index.json', FOLDER));
    if (response.ok) found = await response.json();
  } catch {
    // Another server: no list.
  }
  const others = found
    .filter(({ file }) => !knownModel(file))
    .map(({ file, bytes }) => ({
      file,
      title: file.replace(/\.gguf$/i, ''),
      megabytes: Math.round(bytes / 1e6),
    }));
  return [...KNOWN, ...others].map((model) => ({
    ...model,
    address: new URL(encodeURIComponent(model.file), FOLDER).href,
    isPresent: found.some(({ file }) => file === model.file),
  }));
}

/** An element that says what `model` is: a button that calls `pick` if there is one, a box otherwise. */
export function describeModel({ title, megabytes, licence, note, command, isPresent, address }, pick) {
  const box = element(pick ? 'button' : 'div', { className: 'model' });
  const facts = [`${megabytes} MB`, licence, note].filter(Boolean).join(' · ');
  box.append(element('b', { textContent: title }), element('small', { textContent: facts }));
  if (!isPresent) {
    const missing = element('small', { textContent: 'Not here yet. It comes with ' });
    missing.append(element('code', { textContent: command }));
    box.append(missing);
    box.classList.add('missing');
  }
  if (pick) {
    box.type = 'button';
    box.dataset.address = address;
    box.addEventListener('click', pick);
  }
  return box;
}

/** Fills the list `place` with all models, or the wanted ones. A click on a present one calls `pick`. */
export async function offerModels(place, pick, isWanted = () => true) {
  const models = (await findModels()).filter(isWanted);
  const items = models.map((model) => {
    const item = element('li');
    item.append(describeModel(model, model.isPresent ? () => pick(model) : undefined));
    return item;
  });
  place.replaceChildren(...items);
}

/**
 * The address in ?model=, and whether the page loads it at once: a link of the index says so, by start=1.
 * Another site's link can't make a page fetch from somewhere else without a click.
 */
export function modelOfAddress() {
  const parameters = new URLSearchParams(location.search);
  const address = parameters.get('model');
  const isStarting = address !== null && parameters.get('start') === '1' && isOwn(address);
  return { address, isStarting };
}

function isOwn(address) {
  try {
    return new URL(address, location.href).origin === location.origin;
  } catch {
    return false;
  }
}

const element = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);
