// At the desk: a page whose work runs in the background shows how far it is, and loads anew when that is done.
"use strict";

(() => {
  const job = document.querySelector("[data-job]");
  if (!job) return;
  const bar = job.querySelector("progress"), said = job.querySelector("[data-said]");

  async function look() {
    try {
      const answer = await fetch(job.dataset.job, { headers: { accept: "application/json" }, cache: "no-store" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const told = await answer.json();
      bar.value = told.per_cent;
      said.textContent = told.said;
      if (told.state !== "running") return location.reload();
    } catch {
      said.textContent = job.dataset.off;
    }
    setTimeout(look, 1000);
  }

  setTimeout(look, 500);
})();
