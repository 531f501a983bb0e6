// SPDX-License-Identifier: Apache-2.0
// The module that tools/wgsl.mjs makes.
declare module 'wgsl-texts' {
  const texts: Readonly<Record<string, string>>;
  export default texts;
}
