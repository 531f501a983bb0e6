// SPDX-License-Identifier: Apache-2.0
// sw.js: keeps the page's files, so that the page starts without its server. The model isn't among them: the
// package keeps it in its own cache.
//
// The page imports wasm-chord/inline, one file with workers and modules inside. Its workers start from blob:
// addresses, which belong to this page. With the separate files this service worker must be at a folder above
// the package's, because a worker's script decides which service worker answers it.
const CACHE = 'offline-page-1'; // a new number drops the old files
const FILES = ['./', 'page.mjs', '../page.css', '../../dist/inline.js'].map(
  (file) => new URL(file, self.location.href).href,
);

self.addEventListener('install', (event) => {
  const fetched = FILES.map((file) => new Request(file, { cache: 'reload' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fetched)));
  void self.skipWaiting();
});

self.addEventListener('activate', (event) => {
  const drop = async () => {
    for (const name of await caches.keys())
      if (name.startsWith('offline-page-') && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(drop());
});

self.addEventListener('fetch', (event) => {
  const { origin, pathname } = new URL(event.request.url);
  // ?model=... is the same page.
  if (FILES.includes(origin + pathname)) event.respondWith(answer(event.request, origin + pathname));
});

/** The server's answer while there is one, which also becomes the kept one; otherwise the kept one. */
async function answer(request, file) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(file, response.clone());
    return response;
  } catch {
    // Headers are kept too: the page stays cross-origin isolated, and has its threads.
    return (await cache.match(file)) ?? Response.error();
  }
}
