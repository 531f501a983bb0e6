// SPDX-License-Identifier: Apache-2.0
// Entry of the engine worker: an EngineHost that answers the messages of the worker's creator.
import { parentPeer } from '../platform.js';
import { EngineHost } from './host.js';

// There is no top-level await, because a bundler may make this file a classic script.
void parentPeer().then((client) => {
  const host = new EngineHost((reply, transfer) => client.post(reply, transfer), {
    stepMs: 20,
    mayThread: true,
  });
  client.listen((message) => host.handle(message));
});
