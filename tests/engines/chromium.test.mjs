// SPDX-License-Identifier: Apache-2.0
import { engineTests } from './suite.mjs';

engineTests('chromium');
