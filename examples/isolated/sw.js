// SPDX-License-Identifier: Apache-2.0
// sw.js: a service worker that adds the headers of cross-origin isolation to the files of this origin, where
// the server's headers can't be set. The page registers the worker and reloads once.
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // A page's own files only. Another origin's answer, a model's for example, passes unchanged.
  if (new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(withHeaders(request));
});

async function withHeaders(request) {
  const response = await fetch(request);
  if (response.status === 0 || response.type === 'error') return response;
  const headers = new Headers(response.headers);
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-embedder-policy', 'require-corp');
  headers.set('cross-origin-resource-policy', 'same-origin');
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
