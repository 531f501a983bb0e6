// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

const reason = "the interpreter holds keys and values outside the instance: its sessions can't be saved";
await over('level2-createsession.test.mjs', {
  'a restored session': reason,
  'a save goes to a file': reason,
  'a damaged, cut off or foreign save': reason,
  'an abort of save or restore': reason,
  'sessions queue in one order': reason,
});
