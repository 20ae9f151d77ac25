// Off line: the page of codes as it was last seen. What is named by its content comes from the store first; nothing else is kept.
"use strict";

const WAIT_MS = 4000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) event.respondWith(caches.match(request).then((held) => held || fetch(request)));
  else if (request.mode === "navigate" && ["/", "/code"].includes(url.pathname)) event.respondWith(page(request));
});

async function page(request) {
  try {
    return await fetch(request, { signal: AbortSignal.timeout(WAIT_MS) });
  } catch (wrong) {
    const held = await caches.match(new URL("/code", location).href);
    if (held) return held;
    throw wrong;
  }
}
