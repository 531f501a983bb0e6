// SPDX-License-Identifier: Apache-2.0
// main.ts: a user's strict project. Each @ts-expect-error is a mistake that the types must catch, so a
// declaration that fell back to `any` fails here.
import init, {
  AsyncTokenStream,
  ChordError,
  WasmModel,
  capabilities,
  format_chat,
  loadModel,
  version,
} from 'wasm-chord';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Equal<A, B> extends true ? [] : ['these types differ', A, B]) => undefined;

export async function level1(bytes: Uint8Array): Promise<string> {
  await init();
  await init({ wasmUrl: new URL('https://example.org/a.wasm') });
  const model = new WasmModel(bytes);
  model.set_config(256, 0.8, 0.95, 40, 1.1);
  // @ts-expect-error five numbers
  model.set_config(256, '0.8', 0.95, 40, 1.1);
  // @ts-expect-error bytes, not a path
  new WasmModel('model.gguf');

  const text = model.generate('Hello');
  same<typeof text, string>();
  model.generate_stream('Hello', (piece) => { same<typeof piece, string>(); });
  model.generate_stream('Hello', (piece) => piece.length < 10);
  // @ts-expect-error a callback answers with a boolean or nothing
  model.generate_stream('Hello', () => 'stop');

  const stream = model.generate_async('Hello');
  same<typeof stream, AsyncTokenStream>();
  const first = await stream.next();
  same<typeof first, { value: string; done: boolean }>();
  await stream.return();
  const facts: [boolean, number] = [stream.is_complete(), stream.token_count()];
  stream.free();
  for await (const piece of model.generate_async('Hello')) { same<typeof piece, string>(); }

  try {
    await model.init_gpu_async();
    model.init_gpu();
  } catch (error) {
    if (ChordError.isInstance(error)) {
      if (error.code === 'no-webgpu') console.log(error.message, error.hint ?? '', facts);
      // @ts-expect-error not a code
      if (error.code === 'no-such-code') return '';
    }
  }
  const available: boolean = (await WasmModel.probe_gpu()) || WasmModel.is_gpu_available();
  console.log(available, model.get_model_info().architecture, version());
  model.free();
  // @ts-expect-error not a form
  format_chat('system', 'user', 'vicuna');
  return format_chat('You are brief.', 'Hello', 'chatml');
}

export async function level2(file: File, signal: AbortSignal): Promise<string> {
  const model = await loadModel(file, {
    contextLength: 2048,
    kvType: 'f16',
    threads: 2,
    signal,
    onProgress: ({ phase, loaded }) => console.log(phase, loaded.toFixed()),
  });
  // @ts-expect-error not an option
  await loadModel(file, { context: 2048 });
  // @ts-expect-error not a type of cache
  await loadModel(file, { kvType: 'q1' });

  const ids = await model.tokenize('Hello', { addSpecial: false });
  same<typeof ids, number[]>();
  const back = await model.detokenize(ids);
  same<typeof back, string>();
  const rows: Float32Array = await model.logits(ids, { all: true });
  const prompt = await model.applyChatTemplate([{ role: 'user', content: 'Hello' }]);

  const run = model.generate(prompt, { maxTokens: 8, temperature: 0, stop: ['\n'], seed: 1, signal });
  for await (const { text, token } of run) {
    same<typeof text, string>();
    console.log(text, token);
  }
  // @ts-expect-error not an option
  model.generate(prompt, { max_tokens: 8 });
  const reason: 'stop' | 'length' | 'abort' | undefined = run.stats?.finishReason;
  const whole: string = await model.generate(ids).text();
  const counters = await model.counters();
  const facts: number = counters.stepsRun + counters.wasmBytes + model.info.memory.total + rows.length;
  const { simd, threads }: { simd: boolean; threads: boolean | number } = await capabilities();
  await model.dispose();
  return `${reason} ${whole} ${facts} ${simd} ${threads}`;
}
