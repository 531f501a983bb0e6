// SPDX-License-Identifier: Apache-2.0
/** The files that inline.ts holds: name to gzipped bytes in base64. tools/build.mjs makes the module. */
declare module 'packed-files' {
  const packed: { readonly [name: string]: string | undefined };
  export default packed;
}
