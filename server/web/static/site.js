// On every page: a list of faults is read first; signing out takes along what this phone kept.
"use strict";

(() => {
  const faults = document.querySelector(".faults");
  if (faults) faults.focus();
  for (const form of document.querySelectorAll('form[action="/sign-out"]')) {
    form.addEventListener("submit", () => {
      localStorage.clear();
      if ("caches" in window) caches.delete("pages");
    });
  }
})();
