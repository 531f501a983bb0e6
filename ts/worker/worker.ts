// SPDX-License-Identifier: Apache-2.0
// Entry of the engine worker: a host at the other end of the creator's messages.
import { parentPeer } from '../platform.js';
import { EngineHost } from './host.js';

// No top-level await: bundlers may make a classic script of this file.
void parentPeer().then((client) => {
  const host = new EngineHost((reply, transfer) => client.post(reply, transfer), { stepMs: 20, mayThread: true });
  client.listen((message) => host.handle(message));
});
