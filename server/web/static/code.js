// The page of codes: shows the code of now, ticks, counts down, stays awake, and works off line until the stored codes run out.
"use strict";

(() => {
  const page = document.getElementById("code");
  const one = (name) => page.querySelector(`[data-is="${name}"]`);
  const say = (name, values = {}) => Object.entries(values).reduce((text, [key, value]) => text.replace(`{${key}}`, value), page.dataset[name]);
  const stored = (who) => JSON.parse(localStorage.getItem(`pack ${who}`) || "null");
  const links = [...document.querySelectorAll("[data-who]")];
  const LOOK_MS = 20000;
  let who = new URLSearchParams(location.search).get("who") || page.dataset.who;
  let ahead = Number(localStorage.getItem("ahead") || 0); // milliseconds by which the server's clock is ahead of this phone's
  let shown = null, isOff = false, isEnded = false, isLeaving = false, lock = null; // leaving: signed out, nothing more is stored
  if (!links.some((link) => link.dataset.who === who)) who = page.dataset.who;

  const now = () => Date.now() + ahead;
  const two = (number) => String(number).padStart(2, "0");
  const clock = (seconds, withSeconds) => {
    const text = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: page.dataset.zone })
      .format(new Date(seconds * 1000));
    return withSeconds ? text : text.slice(0, 5);
  };

  async function ask(path) { // JSON, null where there is no line; what the server says of its time is remembered
    const began = Date.now();
    let answer;
    try {
      answer = await fetch(path, { headers: { accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
    } catch {
      isOff = true;
      return null;
    }
    isOff = false;
    isEnded = answer.status === 401;
    if (!answer.ok) return null;
    const said = await answer.json();
    if (isLeaving) return null;
    ahead = Math.round(said.now * 1000 - (began + Date.now()) / 2);
    localStorage.setItem("ahead", ahead);
    return said;
  }

  async function refresh(name) { // fetches codes where there are none, half are used, or the ruling is another
    const held = stored(name);
    const left = held && held.codes.length ? held.codes[held.codes.length - 1][2] - now() / 1000 : 0;
    let wants = !held || left < held.lasts / 2;
    if (!wants) {
      const standing = await ask(`/code/standing?who=${encodeURIComponent(name)}`);
      wants = Boolean(standing) && standing.ruled_at !== held.ruled_at;
    }
    if (wants) {
      const pack = await ask(`/code/pack?who=${encodeURIComponent(name)}`);
      if (pack) localStorage.setItem(`pack ${name}`, JSON.stringify(pack));
    }
  }

  function tick() {
    const at = now() / 1000, pack = stored(who);
    one("clock").textContent = clock(at, true);
    links.forEach((link) => (link.dataset.who === who ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
    const codes = pack ? pack.codes : [];
    const turns = codes.map(([, , until], i) => (codes[i + 1] ? (until + codes[i + 1][1]) / 2 : until)); // halfway, for gates whose clocks differ
    const place = codes.findIndex(([, from], i) => from <= at && at < turns[i]);
    const code = codes[place], ends = code ? turns[place] : 0;
    if (pack) {
      page.className = `code ${pack.colour}`;
      one("name").textContent = pack.name;
      one("word").textContent = say(`${pack.colour}Word`);
      one("shape").setAttribute("href", `${page.dataset.icons}#${pack.colour}`);
    }
    one("frame").hidden = Boolean(pack) && !code;
    one("bar").hidden = !code;
    one("ticking").hidden = !code;
    one("none").hidden = Boolean(code) || !pack || !pack.codes.length;
    one("pending").hidden = !pack || pack.colour !== "pending";
    if (code) {
      if (shown !== code[0]) {
        qr.draw(one("picture"), code[0]);
        one("picture").setAttribute("aria-label", say("picture", { name: pack.name, word: one("word").textContent }));
        shown = code[0];
      }
      one("bar").max = ends - (place ? turns[place - 1] : code[1]);
      one("bar").value = Math.max(0, ends - at);
      const left = Math.max(0, Math.ceil(ends - at));
      one("next").textContent = say("next", { time: clock(ends, false), left: `${Math.floor(left / 60)}:${two(left % 60)}` });
    } else {
      shown = null;
      one("next").textContent = "";
    }
    const last = codes.length ? codes[codes.length - 1][2] : 0;
    tell(isEnded ? say("ended") : !isOff && navigator.onLine ? "" : last > at ? say("off", { time: clock(last, false) }) : say("offNone"));
  }

  function tell(text) { // one line, and only when it changes: a screen reader reads it out
    const line = one("line");
    if (line.textContent !== text) line.textContent = text;
    line.hidden = !text;
  }

  async function look() {
    if (document.visibilityState !== "visible") return;
    const names = [who, ...links.map((link) => link.dataset.who).filter((name) => name !== who)];
    for (const name of names) {
      await refresh(name);
      tick();
      if (isOff || isEnded || isLeaving) break;
    }
  }

  async function stayAwake() {
    if (!("wakeLock" in navigator) || document.visibilityState !== "visible" || (lock && !lock.released)) return;
    try {
      lock = await navigator.wakeLock.request("screen");
    } catch {
      lock = null; // the battery is low: the phone decides
    }
  }

  async function keep() { // this page and what it is made of, for when the line is gone
    if (!("serviceWorker" in navigator) || !window.isSecureContext) return;
    await navigator.serviceWorker.register("/worker.js");
    if (!navigator.onLine || isOff || isLeaving) return;
    const parts = [...document.querySelectorAll("link[href], script[src]")].map((part) => part.href || part.src);
    const wanted = [new URL("/code", location).href, ...new Set(parts.filter((part) => part.includes("/static/")))];
    const cache = await caches.open("pages");
    if (isLeaving) return void caches.delete("pages");
    for (const held of await cache.keys()) if (!wanted.includes(held.url)) await cache.delete(held);
    for (const url of wanted) if (url.endsWith("/code") || !(await cache.match(url))) await cache.add(url);
  }

  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      who = link.dataset.who;
      history.replaceState(null, "", link.href);
      document.querySelectorAll("[data-for]").forEach((part) => { part.hidden = part.dataset.for !== who; });
      for (const room of document.querySelectorAll(".rooms a[href*='who=']")) room.setAttribute("href", `${room.pathname}?who=${who}`);
      tick();
      look();
    });
  }
  document.querySelectorAll("[data-for]").forEach((part) => { part.hidden = part.dataset.for !== who; });
  document.documentElement.classList.add("live");
  document.addEventListener("submit", ({ target }) => { isLeaving ||= target.getAttribute("action") === "/sign-out"; });
  addEventListener("online", look);
  addEventListener("offline", () => { isOff = true; tick(); });
  document.addEventListener("visibilitychange", () => { tick(); look(); stayAwake(); });
  document.addEventListener("click", stayAwake);
  setInterval(tick, 250);
  setInterval(look, LOOK_MS);
  tick();
  look();
  stayAwake();
  keep().catch(() => {}); // without a store the page still shows codes while there is a line
})();
