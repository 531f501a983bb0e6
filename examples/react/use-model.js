// SPDX-License-Identifier: Apache-2.0
// use-model.js: a React hook that owns a model, to copy from.
import { useEffect, useState } from 'react';
import { loadModel } from 'wasm-chord';

/**
 * Loads a model when the component mounts, and disposes of the model when the component unmounts or `source`
 * changes. Returns { progress, model, error }: what is there yet. `options` are those of the first render.
 *
 * In development StrictMode runs the effect twice. The first load is aborted then, and leaves nothing behind.
 */
export function useModel(source, options = {}) {
  const [state, setState] = useState({});
  useEffect(() => {
    const abort = new AbortController();
    const show = (next) => {
      if (!abort.signal.aborted) setState(next);
    };
    const loading = loadModel(source, {
      ...options,
      signal: abort.signal,
      onProgress: (progress) => show({ progress }),
    });
    loading.then(
      (model) => show({ model }),
      (error) => show({ error }),
    );
    return () => {
      abort.abort();
      setState({});
      // The load may have ended before the abort.
      loading.then(
        (model) => model.dispose(),
        () => {},
      );
    };
  }, [source]);
  return state;
}
