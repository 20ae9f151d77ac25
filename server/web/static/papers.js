// Photographs of papers are made small enough on this phone before they are sent; where and with what they were taken stays behind.
"use strict";

(() => {
  const field = document.querySelector("input[type=file][data-most-bytes]");
  if (!field || !("createImageBitmap" in window)) return;
  const LONGEST = 2400; // pixels: a page of A4 at some 200 to the inch

  async function shrink(file) {
    if (!file.type.startsWith("image/")) return file;
    try {
      const picture = await createImageBitmap(file), scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
      const made = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
      return made ? new File([made], file.name.replace(/\.\w+$/, "") + ".jpg", { type: "image/jpeg" }) : file;
    } catch {
      return file; // a kind of picture that this browser does not know: the server says whether it can be taken
    }
  }

  field.addEventListener("change", async () => {
    const held = new DataTransfer();
    for (const file of await Promise.all([...field.files].map(shrink))) held.items.add(file);
    field.files = held.files;
  });
})();
