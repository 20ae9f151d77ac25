// At the operators' pages: what changed comes by server-sent events and takes the place of what was shown.
"use strict";

(() => {
  const live = document.querySelector("[data-live]");
  const line = live.querySelector("[data-line]"), head = live.querySelector("[data-head]"), parts = live.querySelector("[data-parts]");
  const body = live.querySelector("table.fleet tbody");
  const source = new EventSource(live.dataset.live);

  const rowOf = (html) => {
    const held = document.createElement("template");
    held.innerHTML = html;
    return held.content.querySelector("tr");
  };

  function put(name, html) {
    const old = document.getElementById(`unit-${name}`), row = html && rowOf(html);
    if (old && row) {
      const hasFocus = old.contains(document.activeElement);
      old.replaceWith(row);
      if (hasFocus) row.querySelector("a").focus();
    } else if (row) body.append(row);
    else if (old) old.remove();
  }

  // Whoever needs somebody most comes to the top, where the table is sorted by that; whoever has the focus keeps it.
  function sort() {
    const rows = [...body.rows], sorted = [...rows].sort((a, b) => (a.dataset.key < b.dataset.key ? -1 : 1));
    if (sorted.every((row, at) => row === rows[at])) return;
    const focused = document.activeElement;
    body.append(...sorted);
    if (body.contains(focused)) focused.focus();
  }

  source.onmessage = ({ data }) => {
    const news = JSON.parse(data);
    line.textContent = "";
    if (news.head !== undefined) head.innerHTML = news.head;
    if (news.parts !== undefined) {
      const open = parts.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
      parts.innerHTML = news.parts;
      if (open) parts.querySelector(`[aria-label="${CSS.escape(open)}"]`)?.focus();
    }
    if (news.whole) for (const row of [...body.rows]) if (!news.rows[row.id.slice(5)]) row.remove();
    for (const [name, html] of Object.entries(news.rows || {})) put(name, html);
    if (body?.closest("[data-sorted]")) sort();
    live.dataset.news = Number(live.dataset.news || 0) + 1;
  };
  source.addEventListener("ended", () => { source.close(); line.textContent = live.dataset.ended; });
  source.onopen = () => { line.textContent = ""; };
  source.onerror = () => { line.textContent = source.readyState === EventSource.CLOSED ? live.dataset.ended : live.dataset.off; };
})();
