// Draws a health code: QR model 2, error correction M, alphanumeric mode, versions 1 to 12 (ISO/IEC 18004).
// Phones draw their own, so that a pack of 120 codes is 30 KB of text and the server draws nothing.
"use strict";

const qr = (() => {
  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
  const CHECKS = [0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22]; // error correction codewords of a block, by version
  const BLOCKS = [0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8];
  const MOST = CHECKS.length - 1;

  // The field of 256 elements with x^8 + x^4 + x^3 + x^2 + 1.
  const EXP = new Uint8Array(512), LOG = new Uint8Array(256);
  for (let i = 0, x = 1; i < 255; i++) {
    EXP[i] = EXP[i + 255] = x;
    LOG[x] = i;
    x = x & 128 ? (x << 1) ^ 285 : x << 1;
  }
  const times = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

  function centres(version) { // of alignment patterns
    if (version === 1) return [];
    const count = Math.floor(version / 7) + 2, last = version * 4 + 10;
    const step = Math.ceil((last - 6) / (count - 1) / 2) * 2;
    return [6, ...Array.from({ length: count - 1 }, (_, i) => last - step * (count - 2 - i))];
  }

  function codewords(version) { // in all, from the modules that are left
    const count = version === 1 ? 0 : Math.floor(version / 7) + 2;
    const size = version * 4 + 17;
    const aligned = count ? (count * count - 3) * 25 - (count - 2) * 10 : 0;
    const fixed = 3 * 64 + 2 * (size - 16) + aligned + 31 + (version > 6 ? 36 : 0);
    return Math.floor((size * size - fixed) / 8);
  }

  function bits(text, version) { // of the data codewords
    const room = (codewords(version) - CHECKS[version] * BLOCKS[version]) * 8, out = [];
    const put = (value, width) => { for (let i = width - 1; i >= 0; i--) out.push((value >> i) & 1); };
    put(2, 4);
    put(text.length, version < 10 ? 9 : 11);
    for (let i = 0; i < text.length; i += 2) {
      const first = LETTERS.indexOf(text[i]);
      if (i + 1 < text.length) put(first * 45 + LETTERS.indexOf(text[i + 1]), 11);
      else put(first, 6);
    }
    if (out.length > room) return null;
    put(0, Math.min(4, room - out.length));
    put(0, (8 - (out.length % 8)) % 8);
    for (let pad = 0xec; out.length < room; pad ^= 0xec ^ 0x11) put(pad, 8);
    return out;
  }

  function remainder(data, degree) {
    let generator = [1];
    for (let i = 0; i < degree; i++) {
      generator = [...generator, 0].map((value, j) => value ^ times(generator[j - 1] || 0, EXP[i]));
    }
    const rest = [...data, ...Array(degree).fill(0)];
    for (let i = 0; i < data.length; i++) {
      const lead = rest[i];
      if (lead) for (let j = 0; j <= degree; j++) rest[i + j] ^= times(generator[j], lead);
    }
    return rest.slice(data.length);
  }

  function interleave(stream, version) {
    const data = [];
    for (let i = 0; i < stream.length; i += 8) data.push(parseInt(stream.slice(i, i + 8).join(""), 2));
    const count = BLOCKS[version], short = Math.floor(data.length / count), long = data.length % count;
    const blocks = [], checks = [];
    for (let i = 0, from = 0; i < count; i++) {
      const length = short + (i >= count - long ? 1 : 0);
      blocks.push(data.slice(from, from + length));
      checks.push(remainder(blocks[i], CHECKS[version]));
      from += length;
    }
    const out = [];
    for (let i = 0; i <= short; i++) for (const block of blocks) if (i < block.length) out.push(block[i]);
    for (let i = 0; i < CHECKS[version]; i++) for (const check of checks) out.push(check[i]);
    return out;
  }

  function bch(value, width, generator, degree) {
    let rest = value << degree;
    for (let i = width - 1; i >= 0; i--) if ((rest >> (i + degree)) & 1) rest ^= generator << i;
    return (value << degree) | rest;
  }

  const MASKS = [
    (y, x) => (y + x) % 2 === 0, (y) => y % 2 === 0, (_, x) => x % 3 === 0, (y, x) => (y + x) % 3 === 0,
    (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0, (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
    (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0, (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
  ];

  function skeleton(version) { // fixed patterns: 0 or 1; null where data goes; format bits reserved
    const size = version * 4 + 17;
    const grid = Array.from({ length: size }, () => Array(size).fill(null));
    const square = (cy, cx, radius, dark) => {
      for (let dy = -radius; dy <= radius; dy++) {
        for (let dx = -radius; dx <= radius; dx++) {
          if (grid[cy + dy] && grid[cy + dy][cx + dx] !== undefined) grid[cy + dy][cx + dx] = dark(Math.max(Math.abs(dy), Math.abs(dx)));
        }
      }
    };
    for (let i = 0; i < size; i++) grid[6][i] = grid[i][6] = 1 - (i % 2);
    for (const [cy, cx] of [[3, 3], [3, size - 4], [size - 4, 3]]) square(cy, cx, 4, (ring) => (ring === 2 || ring === 4 ? 0 : 1));
    const places = centres(version), end = places.length - 1;
    places.forEach((cy, i) => places.forEach((cx, j) => {
      if (!((i === 0 && j === 0) || (i === 0 && j === end) || (i === end && j === 0))) square(cy, cx, 2, (ring) => (ring === 1 ? 0 : 1));
    }));
    if (version > 6) {
      const info = bch(version, 6, 0x1f25, 12);
      for (let i = 0; i < 18; i++) {
        const a = size - 11 + (i % 3), b = Math.floor(i / 3);
        grid[b][a] = grid[a][b] = (info >> i) & 1;
      }
    }
    format(grid, 0);
    return grid;
  }

  function format(grid, mask) { // level M is 00
    const size = grid.length, info = bch(mask, 5, 0x537, 10) ^ 0x5412, bit = (i) => (info >> i) & 1;
    for (let i = 0; i < 6; i++) grid[i][8] = bit(i);
    grid[7][8] = bit(6);
    grid[8][8] = bit(7);
    grid[8][7] = bit(8);
    for (let i = 9; i < 15; i++) grid[8][14 - i] = bit(i);
    for (let i = 0; i < 8; i++) grid[8][size - 1 - i] = bit(i);
    for (let i = 8; i < 15; i++) grid[size - 15 + i][8] = bit(i);
    grid[size - 8][8] = 1;
  }

  function fill(empty, words, mask) {
    const grid = empty.map((row) => row.slice()), size = grid.length;
    let place = 0;
    for (let right = size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      const upward = ((right + 1) & 2) === 0;
      for (let step = 0; step < size; step++) {
        const y = upward ? size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (empty[y][x] !== null) continue;
          const word = words[place >> 3];
          const dark = word === undefined ? 0 : (word >> (7 - (place & 7))) & 1;
          grid[y][x] = dark ^ (MASKS[mask](y, x) ? 1 : 0);
          place++;
        }
      }
    }
    format(grid, mask);
    return grid;
  }

  function penalty(grid) {
    const size = grid.length;
    let score = 0, dark = 0;
    for (const across of [true, false]) {
      for (let i = 0; i < size; i++) {
        let line = "";
        for (let j = 0; j < size; j++) line += across ? grid[i][j] : grid[j][i];
        for (const run of line.match(/0{5,}|1{5,}/g) || []) score += run.length - 2;
        for (let j = 0; j + 11 <= size; j++) {
          const part = line.slice(j, j + 11);
          if (part === "10111010000" || part === "00001011101") score += 40;
        }
        if (across) dark += line.split("1").length - 1;
      }
    }
    for (let y = 0; y + 1 < size; y++) {
      for (let x = 0; x + 1 < size; x++) {
        const value = grid[y][x];
        if (value === grid[y][x + 1] && value === grid[y + 1][x] && value === grid[y + 1][x + 1]) score += 3;
      }
    }
    return score + Math.floor(Math.abs((dark * 100) / (size * size) - 50) / 5) * 10;
  }

  function matrix(text, forced) { // rows of 0 and 1; `forced` names the mask, for tests
    for (let version = 1; version <= MOST; version++) {
      const stream = bits(text, version);
      if (!stream) continue;
      const words = interleave(stream, version), empty = skeleton(version);
      const masks = forced === undefined ? [0, 1, 2, 3, 4, 5, 6, 7] : [forced];
      let best = null, least = Infinity;
      for (const mask of masks) {
        const grid = fill(empty, words, mask), score = masks.length > 1 ? penalty(grid) : 0;
        if (score < least) [best, least] = [grid, score];
      }
      return best;
    }
    throw new RangeError("the code is too long for a picture");
  }

  function draw(svg, text) { // into an <svg> that holds one <path>
    const grid = matrix(text), size = grid.length + 8;
    let d = "";
    grid.forEach((row, y) => {
      for (let x = 0; x < row.length; x++) {
        if (!row[x]) continue;
        let end = x;
        while (row[end + 1]) end++;
        d += `M${x + 4} ${y + 4}h${end - x + 1}v1H${x + 4}z`;
        x = end;
      }
    });
    svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
    svg.querySelector("path").setAttribute("d", d);
  }

  return { matrix, draw };
})();
