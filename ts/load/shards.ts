// SPDX-License-Identifier: Apache-2.0
// Names of a split model's files, as llama-gguf-split gives them: NAME-00001-of-00003.gguf.
import { ChordError } from '../errors.js';

const SHARD = /-(\d{5})-of-(\d{5})(\.gguf(?:[?#].*)?)$/i;

/** A shard's number (from 1) and count, and the name of the model; undefined for any other name. */
export function shardOf(name: string): { no: number; count: number; model: string } | undefined {
  const [tail, no, count] = SHARD.exec(name) ?? [];
  return tail === undefined
    ? undefined
    : { no: Number(no), count: Number(count), model: name.slice(0, -tail.length) };
}

/** The names of all shards of the model that `name` is a shard of; only `name` if it is none. */
export function shardsOf(name: string): string[] {
  const { count = 0 } = shardOf(name) ?? {};
  // The core has a maximum of 256 files; it refuses the first of more.
  if (count < 2 || count > 256) return [name];
  return Array.from({ length: count }, (_, i) =>
    name.replace(
      SHARD,
      (_tail, _no, of: string, end: string) => `-${String(i + 1).padStart(5, '0')}-of-${of}${end}`,
    ),
  );
}

/** Sorts files by their shards' numbers, if all names are shards' names. Otherwise keeps the order. */
export function inOrder<T>(files: readonly T[], nameOf: (file: T) => string): T[] {
  const number = (file: T): number => shardOf(nameOf(file))?.no ?? NaN;
  return files.some((file) => Number.isNaN(number(file)))
    ? [...files]
    : [...files].sort((a, b) => number(a) - number(b));
}

/** How a model is chosen: `addressOf` makes a hint of a name. */
export interface ModelChoice {
  readonly quant?: string | undefined;
  readonly addressOf?: (name: string) => string;
  readonly mayLack?: boolean;
}

/** Most names that a message lists. */
const MOST_NAMES = 20;

/** The models among `names`, of the quantisation `quant` if it is given. Projectors (mmproj) are none. */
export function modelsAmong(names: readonly string[], quant: string | undefined): string[] {
  const all = names.filter((name) => /\.gguf$/i.test(name) && !/mmproj[^/]*$/i.test(name)).sort();
  if (quant === undefined) return all;
  const words = quant.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const fits = new RegExp(`(^|[-._/])${words}([-./]|$)`, 'i');
  return all.filter((name) => fits.test(modelOf(name)));
}

const modelOf = (name: string): string => shardOf(name)?.model ?? name.slice(0, -5);

/**
 * Chooses the one model among the files of a folder or a repository, of the quantisation `quant` if it is
 * given. Returns the names of its files in order. Throws `invalid-argument`, which lists the models if none
 * or several fit, or names a missing shard; with `mayLack`, a model of which some shards are there is one.
 */
export function oneModel(
  names: readonly string[],
  where: string,
  { quant, addressOf, mayLack = false }: ModelChoice = {},
): string[] {
  const found = modelsAmong(names, quant);
  const models = new Map(found.map((name) => [modelOf(name), name]));
  const first = found[0];
  if (first === undefined || models.size > 1) {
    const what = quant === undefined ? 'GGUF files' : `GGUF files of ${quant}`;
    const listed = [
      ...new Map(
        (first ? found : modelsAmong(names, undefined)).map((name) => [modelOf(name), name]),
      ).values(),
    ];
    const more = listed.length > MOST_NAMES ? ` and ${listed.length - MOST_NAMES} more` : '';
    const list = listed.slice(0, MOST_NAMES).join(', ') + more;
    throw new ChordError(
      'invalid-argument',
      first === undefined
        ? `${where} has no ${what}; ${list === '' ? 'it has no model' : `it has ${list}`}`
        : `${where} has several ${what}: ${list}`,
      { hint: list === '' ? undefined : `name one of them${addressOf ? `: ${addressOf(listed[0]!)}` : ''}` },
    );
  }
  const shards = shardsOf(first);
  if (mayLack) return shards.filter((name) => names.includes(name));
  const missing = shards.find((name) => !names.includes(name));
  if (missing !== undefined) throw new ChordError('invalid-argument', `${where} lacks the shard ${missing}`);
  return shards;
}
