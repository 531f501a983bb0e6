// SPDX-License-Identifier: Apache-2.0
// runs.mjs: runs of one model, token by token, whose tokens the executor or the session draws.
import assert from 'node:assert/strict';

/** `wrap`: makes what the executor gets in the place of a session, which its member `session` is then. */
export function runsOf(model, wrap = (session) => session) {
  /** Pushes `ids`. Each call of the result evaluates what is pending, draws a token and appends it. */
  function start(session, { ids, sampling, seed, isDrawn = true }) {
    session.setSampling(sampling);
    if (seed !== undefined) session.seed(seed);
    session.push(ids);
    return async () => {
      let ran;
      do ran = await model.executor.run(session, Infinity, isDrawn ? sampling : undefined);
      while (!ran.isDone);
      const token = ran.token ?? session.sample();
      if (ran.token !== undefined && sampling.temperature > 0) session.acceptToken(token);
      else session.push([token]);
      return { token, isDrawn: ran.token !== undefined };
    };
  }

  async function take(next, n) {
    const all = [];
    while (all.length < n) all.push((await next()).token);
    return all;
  }

  /** `use` gets a function that opens a session, or a copy of one. All are closed behind it. */
  async function using(use) {
    const sessions = [];
    const open = (from) => {
      const session = wrap(model.engine.openSession(from?.session ?? from), from);
      if (from !== undefined) model.executor.fork(from, session);
      sessions.push(session);
      return session;
    };
    try {
      return await use(open);
    } finally {
      for (const session of sessions) {
        model.executor.close(session);
        session.close();
      }
      assert.deepEqual(model.errors, []);
    }
  }

  /** The first `n` tokens, which the session draws from rows. */
  const sampled = (options, n) => using((open) => take(start(open(), { ...options, isDrawn: false }), n));
  return { start, take, using, sampled };
}
