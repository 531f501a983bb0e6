// SPDX-License-Identifier: Apache-2.0
// tools/build.mjs makes these modules.

/** The files that inline.ts holds: name to bytes in base64. Scripts are gzipped. */
declare module 'packed-files' {
  const packed: { readonly [name: string]: string | undefined };
  export default packed;
}

/** The template engine's module: its bytes in base64. */
declare module 'packed-template' {
  const packed: string;
  export default packed;
}
