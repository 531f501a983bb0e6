// SPDX-License-Identifier: Apache-2.0
// The GPU's executor. It computes the batches of sequences that live in a wasm instance. Matrices, slots and
// caches are on the GPU; ids, page tables and angles go there with each batch; output rows or drawn tokens
// come back.
import { CacheKind, PAGE_TOKENS } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type {
  Batch,
  Batches,
  Executor,
  GpuCounters,
  GpuDispatch,
  GpuMemoryUse,
  Program,
  Ran,
  SelfTested,
} from '../executor.js';
import type { Sampling } from '../options.js';
import { asked } from './asked.js';
import { anglesOf } from './angles.js';
import { Commands } from './commands.js';
import type { Ready } from './commands.js';
import { bytesOf } from './counting.js';
import type { OpenDevice } from './device.js';
import type { BatchShape, Features, Matrix, Slot } from './dispatch.js';
import { ALIKE, firstLists, lowerList, mainList } from './lists.js';
import type { ListKey } from './lists.js';
import { tokensOf } from './lowering.js';
import { AHEAD, GpuMemory } from './memory.js';
import { PATIENCE_MS, within } from './patience.js';
import type { Pipelines } from './pipelines.js';
import type { ProfiledKernel } from './profiler.js';
import { Readback } from './readback.js';
import { Sampler, kindOf } from './sample.js';
import { Saves } from './saves.js';
import type { DrawKind, Drawn } from './sample.js';

/** Draws without steps ahead after one that the session had to make: steps ahead of it are lost. */
const PAUSE = 16;
/** Tokens that the penalties of sampling look at. */
const PENALTY_WINDOW = 64;

export interface ExecutorParts {
  readonly opened: OpenDevice;
  readonly program: Program;
  /** The matrices by their tensors' indices. They belong to the executor from now on. */
  readonly matrices: ReadonlyMap<number, Matrix>;
  readonly pipelines: Pipelines;
  /** False: op by op, for tests. */
  readonly isFused?: boolean;
  /** Milliseconds for an answer of the GPU; default PATIENCE_MS. For tests. */
  readonly patienceMs?: number;
}

/** Dispatches that are ready, and the slot that holds the output rows behind them. */
interface List {
  readonly list: readonly Ready[];
  readonly output: Slot;
}

/** A batch under way: which of its dispatches have been submitted. */
interface UnderWay {
  readonly address: number;
  readonly batch: Batch;
  readonly list: readonly Ready[];
  at: number;
}

/** A step whose token the GPU draws. */
interface Step {
  readonly address: number;
  /** Batch.changes of the batch that it computes. */
  readonly changes: number;
  /** That of its first token on every axis, where the session names positions. */
  readonly position: number | undefined;
  readonly sampling: Sampling;
  /** The number that it draws with. */
  readonly random: number;
  readonly work: number;
  readonly drawn: Promise<Drawn>;
}

export class GpuExecutor implements Executor {
  readonly name = 'webgpu';
  readonly holdsCaches = true;
  /** Why it has less than its device; undefined: it has all. */
  downgrade: string | undefined;
  selfTest: readonly SelfTested[] | undefined;
  readonly #parts: ExecutorParts;
  readonly #device: GPUDevice;
  readonly #program: Program;
  readonly #memory: GpuMemory;
  readonly #commands: Commands;
  readonly #sampler: Sampler;
  readonly #readback: Readback;
  readonly #saves: Saves;
  readonly #hasStates: boolean;
  readonly #lists = new Map<string, Promise<List>>();
  readonly #draws = new Map<DrawKind, Promise<readonly Ready[]>>();
  #underWay: UnderWay | undefined;
  /** Steps ahead, and the token that the step before them drew. */
  #ahead: Step[] = [];
  #last = -1;
  /** Draws to make before steps are submitted ahead again. */
  #pause = 0;
  /** The sequence whose tables and ids are on the GPU. */
  #shown: number | undefined;
  #lost: string | undefined;
  #isFreed = false;

  /**
   * Allocates what the model needs beside its matrices. The load may be under way: loadVectors() is called
   * when it is complete. Throws `out-of-memory`, `no-webgpu`, `internal`.
   */
  static async open(parts: ExecutorParts): Promise<GpuExecutor> {
    const { device, features } = parts.opened;
    return new GpuExecutor(parts, await GpuMemory.open(device, features, parts.program));
  }

  private constructor(parts: ExecutorParts, memory: GpuMemory) {
    const { opened, program, pipelines } = parts;
    this.#parts = parts;
    this.#device = opened.device;
    this.#program = program;
    this.#memory = memory;
    this.#commands = new Commands(opened.device, pipelines, memory.batch);
    this.#sampler = new Sampler(opened.device, { nVocab: program.nVocab, nRecords: AHEAD + 2 });
    this.#readback = new Readback(opened.device, this.#sampler, AHEAD + 2, parts.patienceMs);
    this.#saves = new Saves(program, {
      bytes: (cache) => memory.pageBytes(cache),
      read: (caches, page) => this.#readback.bytes(caches.map((cache) => memory.placeOf(cache, page))),
      write: (cache, page, bytes) => {
        this.#reserve(program.caches[cache]!.cls, page);
        const { buffer, offset } = memory.placeOf(cache, page);
        this.#device.queue.writeBuffer(buffer, offset, bytes);
      },
    });
    this.#hasStates = program.caches.some(({ kind }) => kind === CacheKind.STATE);
    void opened.device.lost.then(({ message }) => (this.#lost = message || 'no reason is known'));
  }

  get features(): Features {
    return this.#parts.opened.features;
  }

  get gpuMemory(): GpuMemoryUse {
    const { matrices } = this.#parts;
    const weights = bytesOf(
      new Set([...matrices.values()].flatMap(({ parts }) => parts.map(({ view }) => view.buffer))),
    );
    const others = [this.#memory, this.#commands, this.#sampler, this.#readback];
    const total = others.reduce((sum, { gpuBytes }) => sum + gpuBytes, weights);
    return { weights, kv: this.#memory.kvBytes, total };
  }

  get counters(): GpuCounters {
    return {
      ...this.#commands.counters,
      readbacks: this.#readback.count,
      gpuBytes: this.gpuMemory.total,
    };
  }

  /** Takes the vectors from the instance, before the first step. */
  loadVectors(): void {
    this.#memory.loadVectors();
  }

  /** Compiles the pipelines of decode and of a prompt. Those of short batches are compiled afterwards. */
  async warm(): Promise<void> {
    const [main, prompt, few] = firstLists(this.#program);
    if (prompt === undefined) {
      await this.#list(main!);
      return;
    }
    const lists = [this.#list(main!), this.#list(prompt)];
    await Promise.all([...lists, this.#drawing('draw'), this.#drawing('max')]);
    this.#compileBehind(few!).catch(() => undefined); // whoever needs it gets the error
  }

  /** See Commands.profile(). */
  profile(): Promise<ProfiledKernel[]> {
    return this.#commands.profile();
  }

  async dispatches(): Promise<GpuDispatch[]> {
    const { isEncoder } = this.#program;
    const { list } = await this.#list(mainList(this.#program));
    const shape = { nTokens: 1, firstPosition: 0, nOutputs: 1 };
    return [...list, ...(isEncoder ? [] : await this.#drawing('draw'))]
      .map(({ dispatch: { label, groups, work } }) => ({
        label,
        workgroups: groups(shape).reduce((product, n) => product * n),
        ...work(shape),
      }))
      .filter(({ workgroups }) => workgroups > 0);
  }

  async run(batches: Batches, budget: number, sampling?: Sampling): Promise<Ran> {
    this.#check();
    const batch = batches.nextBatch();
    if (batch === undefined) return { isDone: true, work: 0 };
    const { address } = batches;
    const draw =
      sampling !== undefined && batch.rows.length === 1 && this.#sampler.can(sampling) ? sampling : undefined;
    const foreseen = this.#takeForeseen(address, batch, draw);
    if (foreseen !== undefined) return this.#finishStep(batches, batch, foreseen);

    const one = this.#underWay;
    if (one === undefined || one.address !== address || one.batch.changes !== batch.changes) {
      this.#underWay = undefined;
      this.#show(batches, batch);
      this.#write(batch);
      const { list } = await this.#listOf(batch);
      this.#underWay = { address, batch, list, at: 0 };
    }
    const underWay = this.#underWay!;
    const record = draw === undefined ? undefined : await this.#readback.next();
    const limit = batch.ids.length === 1 ? Infinity : budget; // one submit a token
    const encoder = this.#device.createCommandEncoder({ label: 'batch' });
    const { end, work } = this.#commands.encode(encoder, underWay.list, shapeOf(batch), underWay.at, limit);
    underWay.at = end;
    const isWhole = end === underWay.list.length;
    if (isWhole && record !== undefined) {
      const step = await this.#draw(encoder, batches, batch, { sampling: draw!, work, record, ahead: 0 });
      this.#underWay = undefined;
      return this.#finishStep(batches, batch, step);
    }
    this.#commands.submit(encoder);
    const { patienceMs = PATIENCE_MS } = this.#parts;
    if (!isWhole || batch.rows.length === 0)
      await within(patienceMs, this.#device, asked(this.#device.queue.onSubmittedWorkDone()));
    this.#check();
    if (!isWhole) return { isDone: false, work };
    this.#underWay = undefined;
    batches.acceptBatch(await this.#rows(batch));
    return { isDone: batch.rows.length > 0, work };
  }

  fork(_from: Batches, to: Batches): void {
    this.#fill(to);
  }

  async save(batches: Batches, at: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#check();
    const bytes = await this.#saves.save(batches, at);
    this.#check();
    return bytes;
  }

  restore(batches: Batches, at: number, bytes: Uint8Array): boolean {
    this.#check();
    return this.#saves.restore(batches, at, bytes);
  }

  close({ address }: Batches): void {
    if (this.#shown === address) this.#shown = undefined;
    if (this.#underWay?.address === address) this.#underWay = undefined;
    if (this.#ahead[0]?.address === address) this.#ahead = [];
  }

  /** `withMatrices` false: the matrices go on in another executor. */
  free(withMatrices = true): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    for (const part of [this.#memory, this.#commands, this.#readback]) part.destroy();
    this.#sampler.free();
    if (!withMatrices) return;
    for (const { parts } of this.#parts.matrices.values())
      for (const { view } of parts) view.buffer.destroy();
  }

  #check(): void {
    if (this.#isFreed) throw new ChordError('disposed', 'the model was disposed of');
    if (this.#lost !== undefined)
      throw new ChordError('device-lost', `the GPU was lost: ${this.#lost}`, {
        hint: 'load the model again',
      });
  }

  // ---- steps ahead ------------------------------------------------------------------------------------

  /**
   * The step ahead that computes `batch`, if there is one. A step ahead that computes something else is
   * dropped with all behind it: later batches overwrite what it wrote.
   */
  #takeForeseen(address: number, batch: Batch, sampling: Sampling | undefined): Step | undefined {
    const [step] = this.#ahead;
    const isForeseen =
      step !== undefined &&
      step.address === address &&
      step.changes === batch.changes &&
      step.position === batch.positions?.[0] &&
      step.sampling === sampling &&
      // A new seed. At temperature 0 the generator stands still.
      (step.random === batch.random || kindOf(step.sampling) === 'max') &&
      batch.ids.length === 1 &&
      batch.ids[0] === this.#last;
    if (isForeseen) return this.#ahead.shift();
    this.#ahead = [];
    return undefined;
  }

  /** Submits the steps behind `step`, which computes `batch`. Then waits for its token. */
  async #finishStep(batches: Batches, batch: Batch, step: Step): Promise<Ran> {
    if (this.#pause === 0) await this.#lookAhead(batches, batch, step);
    const { id } = await step.drawn;
    this.#check();
    const { work } = step;
    this.#last = id;
    if (id >= 0) {
      this.#pause = Math.max(0, this.#pause - 1);
      batches.acceptBatch(new Float32Array(0));
      return { isDone: true, work, token: id };
    }
    // The candidates don't decide, or a logit isn't finite: the session samples, or tells the error. Steps
    // ahead have overwritten the row, so the batch runs again.
    this.#pause = PAUSE;
    if (this.#ahead.length > 0) {
      this.#ahead = [];
      for (let cls = 0; this.#hasStates && cls < this.#program.nClasses; cls++)
        if (this.#isState(cls)) this.#showPages(batches, cls, 0);
      this.#write(batch);
      const { list } = await this.#listOf(batch);
      const encoder = this.#device.createCommandEncoder({ label: 'batch' });
      this.#commands.encode(encoder, list, shapeOf(batch));
      this.#commands.submit(encoder);
    }
    batches.acceptBatch(await this.#rows(batch));
    return { isDone: true, work };
  }

  /** Submits steps for the positions behind `batch`, which evaluate tokens that aren't known yet. */
  async #lookAhead(batches: Batches, batch: Batch, { sampling, address }: Step): Promise<void> {
    // Behind a token all axes have its position and 1; behind an image the session names them.
    if (batch.positions !== undefined && batch.ids.at(-1)! < 0) return;
    while (this.#ahead.length < AHEAD) {
      const ahead = this.#ahead.length + 1;
      const position = batch.firstPosition + batch.ids.length + ahead - 1;
      if (position >= this.#program.nCtx || !this.#reserveStep(batches, position, ahead)) return;
      const positions = batch.positions?.slice(-batch.nAxes).map((last) => last + ahead);
      const next = {
        ...oneToken,
        nAxes: batch.nAxes,
        ...(positions && { positions }),
        firstPosition: position,
        changes: batch.changes + ahead,
      };
      this.#write(next);
      const { list } = await this.#listOf(next);
      const record = await this.#readback.next();
      const encoder = this.#device.createCommandEncoder({ label: 'step' });
      const { work } = this.#commands.encode(encoder, list, shapeOf(next));
      this.#ahead.push(await this.#draw(encoder, batches, next, { sampling, work, record, ahead }));
      this.#commands.counters.submitsAhead += 1;
      this.#check();
      if (this.#ahead.at(-1)?.address !== address) return; // closed meanwhile
    }
  }

  /** Puts what the session hands out early for step `ahead` into the tables. False: it has no memory. */
  #reserveStep(batches: Batches, position: number, ahead: number): boolean {
    const isBorder = position % PAGE_TOKENS === 0;
    if (!isBorder && !this.#hasStates) return true;
    if (!batches.reserve(ahead)) return false;
    for (let cls = 0; cls < this.#program.nClasses; cls++) {
      if (this.#isState(cls)) this.#showPages(batches, cls, 0, ahead);
      else if (isBorder) this.#showPages(batches, cls, position / PAGE_TOKENS);
    }
    return true;
  }

  /**
   * Submits what is encoded, with the draw of the token behind `batch`. `ahead`: draws before it whose
   * numbers aren't taken yet.
   */
  async #draw(
    encoder: GPUCommandEncoder,
    batches: Batches,
    batch: Batch,
    o: {
      readonly sampling: Sampling;
      readonly work: number;
      readonly record: number;
      readonly ahead: number;
    },
  ): Promise<Step> {
    const draws = await this.#drawing(kindOf(o.sampling));
    this.#sampler.set(o.sampling);
    const random = batches.randomAhead(o.ahead);
    this.#sampler.next(random, o.record);
    this.#commands.encode(encoder, draws, shapeOf(batch));
    this.#readback.copy(encoder, o.record);
    this.#commands.submit(encoder);
    const drawn = this.#readback.read(o.record);
    drawn.catch(() => undefined); // whoever waits for the step gets the error
    const { sampling, work } = o;
    const { changes, positions } = batch;
    return { address: batches.address, changes, position: positions?.[0], sampling, random, work, drawn };
  }

  // ---- what goes to the GPU before a batch ------------------------------------------------------------

  /** Makes the sequence of `batches` the one whose tables and ids are on the GPU. */
  #show(batches: Batches, batch: Batch): void {
    const { firstPosition, ids } = batch;
    const isShown = this.#shown === batches.address;
    this.#shown = batches.address;
    const first = isShown ? Math.floor(firstPosition / PAGE_TOKENS) : 0;
    for (let cls = 0; cls < this.#program.nClasses; cls++)
      this.#showPages(batches, cls, this.#isState(cls) ? 0 : first);
    this.#fill(batches);
    // The penalties look at earlier ids, too. A row that is an embedding has the id -1.
    const from = Math.max(0, firstPosition - PENALTY_WINDOW);
    const written = isShown ? ids : batches.tokens().subarray(from, firstPosition + ids.length);
    const at = isShown ? firstPosition : from;
    this.#device.queue.writeBuffer(this.#memory.tokens.buffer, at * 4, written as Int32Array<ArrayBuffer>);
  }

  #isState(cls: number): boolean {
    return this.#program.caches.some((cache) => cache.cls === cls && cache.kind === CacheKind.STATE);
  }

  /**
   * Writes the table of a class from entry `first` on; of a class of states, the two that the step `ahead` of
   * the batch reads and writes.
   */
  #showPages(batches: Batches, cls: number, first: number, ahead = 0): void {
    const pages = this.#isState(cls) ? batches.pages(cls, ahead).subarray(0, 2) : batches.pages(cls, first);
    this.#reserve(cls, Math.max(-1, ...pages));
    const words = Uint32Array.from(pages, (page) => Math.max(page, 0));
    this.#device.queue.writeBuffer(
      this.#memory.tables.buffer,
      (this.#memory.tableOf[cls]! + first) * 4,
      words,
    );
  }

  #fill(batches: Batches): void {
    const fills = batches.fills();
    if (fills.length === 0) return;
    for (const { cls, page } of fills) this.#reserve(cls, page);
    const encoder = this.#device.createCommandEncoder({ label: 'pages' });
    for (const { cls, page, from } of fills) this.#memory.fill(encoder, cls, page, from);
    this.#commands.submit(encoder);
  }

  #reserve(cls: number, page: number): void {
    if (!this.#memory.reserve(cls, page)) return;
    // What is ready to be encoded names the old buffers.
    this.#lists.clear();
    this.#underWay = undefined;
  }

  /** Writes the numbers of a batch, its output rows and its angles. */
  #write(batch: Batch): void {
    const { queue } = this.#device;
    const memory = this.#memory;
    const { firstPosition, ids, rows, embeddings, texts } = batch;
    queue.writeBuffer(memory.batch, 0, new Uint32Array([ids.length, firstPosition, rows.length, 0]));
    let placed = batch;
    if (texts !== undefined) {
      const { runs, positions } = textTables(texts.lengths, firstPosition);
      queue.writeBuffer(memory.runs.buffer, 0, runs);
      queue.writeBuffer(memory.positions.buffer, 0, positions);
      placed = { ...batch, nAxes: 1, positions };
    } else if (rows.length > 0) queue.writeBuffer(memory.rows.buffer, 0, rows as Int32Array<ArrayBuffer>);
    for (const op of this.#program.ops) {
      if (op.name === 'EMBED' && op.part.is_padded === 0 && embeddings !== undefined)
        this.#place(embeddings, memory.slots[op.out[0]!]!);
      if (op.name !== 'ANGLES') continue;
      const slot = memory.slots[op.out[0]!]!;
      const angles = anglesOf(this.#program.ropes[op.part.rope]!, placed, slot.stride);
      queue.writeBuffer(slot.view.buffer, 0, angles);
    }
  }

  /** Writes rows that aren't a matrix's: EMBED leaves those of the id -1 alone. */
  #place({ first, rows }: NonNullable<Batch['embeddings']>, { view, width, stride }: Slot): void {
    for (let at = 0; at < rows.length; at += width) {
      const to = (first + at / width) * stride * 4;
      this.#device.queue.writeBuffer(view.buffer, (view.offset ?? 0) + to, rows, at, width);
    }
  }

  // ---- lists of dispatches ------------------------------------------------------------------------------

  #listOf({ ids, rows, texts, firstPosition }: Batch): Promise<List> {
    const isPart = firstPosition > 0 || rows.length === 0;
    const isAlike = texts !== undefined && !this.#program.embeddings!.isOneText && !isPart;
    const byCount = { batch: tokensOf(ids.length), output: tokensOf(rows.length) };
    return this.#list({ rows: isAlike ? ALIKE : byCount, pooling: texts?.pooling });
  }

  /** Compiles the kernels of a list one after another: who frees the executor waits for one at most. */
  async #compileBehind(of: ListKey): Promise<void> {
    for (const dispatch of this.#lower(of).dispatches) {
      await this.#parts.pipelines.get(dispatch);
      if (this.#isFreed) return;
    }
    await this.#list(of);
  }

  #list(of: ListKey): Promise<List> {
    const { rows, pooling } = of;
    const key = `${rows.batch} ${rows.output} ${rows.isAlike} ${pooling}`;
    let list = this.#lists.get(key);
    if (list === undefined) {
      const { dispatches, output } = this.#lower(of);
      list = this.#commands.ready(dispatches).then((ready) => ({ list: ready, output }));
      this.#lists.set(key, list);
    }
    return list;
  }

  #lower(of: ListKey): ReturnType<typeof lowerList> {
    const { matrices, isFused = true } = this.#parts;
    const parts = { program: this.#program, memory: this.#memory, matrices, features: this.features };
    return lowerList({ ...parts, isFused }, of);
  }

  #drawing(kind: DrawKind): Promise<readonly Ready[]> {
    let draws = this.#draws.get(kind);
    if (draws === undefined) {
      const { tokens } = this.#memory;
      draws = this.#list(mainList(this.#program)).then(({ output }) =>
        this.#commands.ready(this.#sampler.dispatches({ kind, logits: output, tokens })),
      );
      this.#draws.set(kind, draws);
    }
    return draws;
  }

  /** Resolves to the output rows of the batch, one after another. */
  async #rows(batch: Batch): Promise<Float32Array> {
    if (batch.rows.length === 0) return new Float32Array(0);
    const { output } = await this.#listOf(batch);
    const rows = await this.#readback.rows(
      output.view.buffer,
      batch.rows.length,
      output.width,
      output.stride,
    );
    this.#check();
    return rows;
  }
}

/** A batch of one token, whose id is on the GPU. */
const oneToken: Omit<Batch, 'firstPosition' | 'changes'> = {
  ids: new Int32Array(1),
  rows: new Int32Array(1),
  nAxes: 1,
  random: 0,
};

const shapeOf = ({ ids, firstPosition, rows, texts }: Batch): BatchShape => ({
  nTokens: ids.length,
  firstPosition,
  nOutputs: rows.length,
  ...(texts && { texts: texts.lengths }),
});

/** First row and number of rows of each text, and the position of each row. */
function textTables(
  lengths: Int32Array,
  firstPosition: number,
): { runs: Uint32Array<ArrayBuffer>; positions: Int32Array<ArrayBuffer> } {
  const runs = new Uint32Array(2 * lengths.length);
  const positions: number[] = [];
  lengths.forEach((length, i) => {
    runs.set([positions.length, length], 2 * i);
    for (let t = 0; t < length; t++) positions.push(firstPosition + t);
  });
  return { runs, positions: Int32Array.from(positions) };
}
