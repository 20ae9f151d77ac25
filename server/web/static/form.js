// Keeps the answers of a form on this phone while the line is down, and sends them when it is back.
"use strict";

(() => {
  const form = document.querySelector("form[data-keep]");
  if (!form) return;
  const key = `answers ${form.dataset.keep}`, line = document.getElementById("line");
  const fields = () => [...form.elements].filter((field) => field.name && !["hidden", "password", "file"].includes(field.type));
  let waits = null;

  function save() {
    const said = fields().filter((field) => !/radio|checkbox/.test(field.type) || field.checked).map((field) => [field.name, field.value]);
    localStorage.setItem(key, JSON.stringify(said));
  }

  function restore() {
    const said = JSON.parse(localStorage.getItem(key) || "[]");
    for (const field of fields()) {
      if (/radio|checkbox/.test(field.type)) field.checked = said.some(([name, value]) => name === field.name && value === field.value);
      else field.value = (said.find(([name]) => name === field.name) || [])[1] || "";
    }
  }

  function tell(text) {
    line.textContent = text;
    line.hidden = !text;
  }

  async function send() {
    clearTimeout(waits);
    try {
      const answer = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error("not well");
      tell("");
      localStorage.removeItem(key);
      form.submit();
    } catch {
      tell(form.dataset.off);
      waits = setTimeout(send, 4000);
    }
  }

  if (localStorage.getItem(key)) restore(); // only what was never sent is kept, so that it is the newest
  form.addEventListener("input", save);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
    send();
  });
})();
