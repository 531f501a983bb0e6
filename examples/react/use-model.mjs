// SPDX-License-Identifier: Apache-2.0
// use-model.mjs: two React hooks to copy: one loads a model with its component, one streams an answer.
//
//   const { model, progress, error } = useModel('/models/smollm2.gguf');
//   const { text, isWriting, error, ask, stop } = useAnswer(model);
//   <button onClick={() => ask([{ role: 'user', content: 'Hello!' }])}>Ask</button>
import { useCallback, useEffect, useRef, useState } from 'react';
import { loadModel } from 'wasm-chord';

/**
 * Loads the model at `source`, again when `source` changes, and disposes of it with the component. Returns {
 * progress, model, error }: what is there yet. `options` are those of loadModel, from the first render.
 */
export function useModel(source, options) {
  const [state, setState] = useState({});
  const first = useRef(options);
  useEffect(() => {
    // In StrictMode React runs each effect twice in development: the first load is aborted.
    const controller = new AbortController();
    const { signal } = controller;
    const show = (next) => signal.aborted || setState(next);
    show({});
    const loading = loadModel(source, {
      ...first.current,
      signal,
      onProgress: (progress) => progress.phase === 'ready' || show({ progress }),
    });
    loading.then(
      (model) => show({ model }),
      (error) => show({ error }),
    );
    return () => {
      controller.abort();
      // A load that had ended before: its model is no longer needed.
      loading.then(
        (model) => model.dispose(),
        () => undefined,
      );
    };
  }, [source]);
  return state;
}

/** Streams the model's answer to `messages`, one answer at a time; `ask` resolves to its whole text. */
export function useAnswer(model) {
  const [state, setState] = useState({ text: '', isWriting: false });
  const current = useRef(null);
  const stop = useCallback(() => current.current?.abort(), []);
  const ask = useCallback(
    async (messages, options) => {
      stop();
      const controller = (current.current = new AbortController());
      // An answer that a newer one has replaced shows nothing more.
      const show = (next) => current.current === controller && setState((old) => ({ ...old, ...next }));
      let text = '';
      show({ text, isWriting: true, error: undefined });
      try {
        const stream = await model.chat.completions.create({
          ...options,
          messages,
          stream: true,
          signal: controller.signal,
        });
        for await (const { choices } of stream) {
          text += choices[0]?.delta.content ?? '';
          show({ text });
        }
      } catch (error) {
        if (!controller.signal.aborted) show({ error });
      }
      show({ isWriting: false });
      return text;
    },
    [model, stop],
  );
  useEffect(() => stop, [model, stop]);
  return { ...state, ask, stop };
}
