// SPDX-License-Identifier: Apache-2.0
// The headers give the page threads. A copy of the standalone server on another machine has the package's
// workers and modules only if the package stays outside the server's bundle.
const headers = [
  { key: 'Cross-Origin-Opener-Policy', value: 'same-origin' },
  { key: 'Cross-Origin-Embedder-Policy', value: 'require-corp' },
];

export default {
  outputFileTracingRoot: import.meta.dirname,
  ...(process.env.STANDALONE && { output: 'standalone', serverExternalPackages: ['wasm-chord'] }),
  headers: async () => [{ source: '/:path*', headers }],
};
