// A gate's page: what the unit's pins and events say, as it comes; what the visitor does, to the world around the unit.
"use strict";

(() => {
  const by = (id) => document.getElementById(id);
  const unit = by("unit"), here = `/gates/${unit.dataset.unit}`;
  const COLOURS = ["off", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
  const COLOURS_ZH = ["灭", "红", "绿", "黄", "蓝", "品红", "青", "白"];
  const BARRIER = { open: ["open", "开"], shut: ["shut", "关"] };
  const PASSAGES = { used: "walked through 已通过", not_used: "nobody walked through 无人通过" };
  const MOST_ROWS = 8, QUIET_MS = 1500, CAMERA_MS = 250, MOST_SIDE = 960;
  const level = { led_red: 0, led_green: 0, led_blue: 0, relay: 0, buzzer: 0 };

  const say = (element, english, chinese) => {
    const second = document.createElement("span");
    second.lang = "zh-CN";
    second.textContent = ` ${chinese}`;
    element.replaceChildren(english, second);
  };

  // ---- light and barrier

  const BLUE = 4, WHITE = 7;
  let lit = 0, darkSince = 0;

  function showLight(at) {
    const number = (level.led_red ? 1 : 0) + (level.led_green ? 2 : 0) + (level.led_blue ? 4 : 0);
    if (unit.dataset.light === COLOURS[number]) return;
    if (number === 0) darkSince = at;
    else {
      // Blue, a short dark, blue again: the unit measures, or sees a code that it cannot read.
      if (number === BLUE && lit === BLUE && at - darkSince < 0.5) tellVerdict("Come closer, hold still. 请靠近并保持不动。", "The unit measures, or sees a code that it cannot read yet.", "正在测温，或看到了健康码但还读不清。", "hold");
      else if (number === WHITE && by("verdict").dataset.shape === "hold") rest();
      lit = number;
    }
    unit.dataset.light = COLOURS[number];
    say(by("light"), COLOURS[number], COLOURS_ZH[number]);
  }

  function tellVerdict(reason, words, wordsZh, shape) {
    by("verdict").dataset.shape = shape;
    by("reason").textContent = reason;
    by("words").textContent = words;
    by("words-zh").textContent = wordsZh;
  }

  const rest = () => tellVerdict("No verdict yet", "Hold up a code.", "请出示健康码。", "");

  function showBarrier() {
    const word = level.relay ? "open" : "shut";
    if (unit.dataset.barrier === word) return;
    unit.dataset.barrier = word;
    say(by("barrier"), ...BARRIER[word]);
  }

  // ---- sound: the buzzer's own rhythm, heard where it is not muted, and always told in words

  let audio = null, oscillator = null, gain = null, hertz = 0, began = 0, tune = [], silence = null;
  const nameOf = (hz) => (hz < 660 ? "low 低音" : hz < 1320 ? "medium 中音" : "high 高音");

  function play() {
    if (!audio) return;
    gain.gain.setTargetAtTime(level.buzzer ? 0.15 : 0, audio.currentTime, 0.004);
    if (hertz) oscillator.frequency.setValueAtTime(hertz, audio.currentTime);
  }

  function toggleSound() {
    if (audio) {
      audio.close();
      audio = null;
    } else {
      audio = new AudioContext();
      oscillator = new OscillatorNode(audio, { type: "square", frequency: hertz || 880 });
      gain = new GainNode(audio, { gain: 0 });
      oscillator.connect(gain).connect(audio.destination);
      oscillator.start();
      play();
    }
    if (audio) say(by("mute"), "Sound is on: turn it off", "关闭声音");
    else say(by("mute"), "Sound is off: turn it on", "打开声音");
  }

  // Alike to an ear, and whatever the machine in between made of their length.
  const isAlike = (one, other) => one && other && one.name === other.name && Math.abs(one.seconds - other.seconds) < 0.2;
  const tell = (note) => `${note.name} ${(Math.max(1, Math.round(note.seconds * 20)) / 20).toFixed(2)} s`;

  // Notes in a row, with what comes again at once said once: 4 × (low 0.10 s, high 0.10 s).
  function tellTune() {
    const parts = [];
    for (let at = 0; at < tune.length; ) {
      let best = { length: 1, times: 1 };
      for (let length = 1; length <= 4; length += 1) {
        const group = tune.slice(at, at + length);
        let times = 1;
        while (group.length === length && group.every((note, place) => isAlike(note, tune[at + times * length + place]))) times += 1;
        if (times > 1 && times * length > best.times * best.length) best = { length, times };
      }
      const group = tune.slice(at, at + best.length).map(tell).join(", ");
      parts.push(best.times === 1 ? group : `${best.times} × ${best.length === 1 ? group : `(${group})`}`);
      at += best.length * best.times;
    }
    by("heard").textContent = parts.join(", ");
  }

  function hear(message) {
    const at = message.at || 0;
    if (began && (!message.value || message.hz !== hertz)) {
      tune.push({ name: nameOf(hertz), seconds: at - began });
      tellTune();
      began = 0;
    }
    clearTimeout(silence);
    if (message.value) {
      hertz = message.hz || hertz;
      began = at;
    } else silence = setTimeout(() => { tune = []; }, QUIET_MS);
    by("tone").textContent = message.value ? `${nameOf(hertz)} (${Math.round(hertz)} Hz)` : "silent 静音";
    play();
  }

  // ---- verdicts

  function log(text) {
    const row = document.createElement("li");
    row.textContent = `${new Date().toLocaleTimeString("en-GB")} ${text}`;
    by("log").prepend(row);
    while (by("log").children.length > MOST_ROWS) by("log").lastChild.remove();
  }

  function judge(message) {
    by("verdict").dataset.reason = message.reason;
    const measured = message.body_c ? `, ${message.body_c.toFixed(1)} °C` : "";
    tellVerdict(message.reason + measured, message.words, message.words_zh, message.shape);
    log(`${message.verdict.toUpperCase()} ${message.reason}${measured}`);
  }

  function takeIn(message) {
    if (message.pin) {
      level[message.pin] = message.value;
      if (message.pin === "buzzer") hear(message);
      showLight(message.at || 0);
      showBarrier();
    } else if (message.verdict) judge(message);
    else if (message.passage) log(PASSAGES[message.passage] || message.passage);
    else if (message.frame) by("view").src = `${here}/view?${message.frame}.${Date.now()}`;
    else if ("busy" in message) {
      unit.dataset.busy = message.busy;
      tellLine(message.busy ? "Somebody else is at the gate just now. 有人正在通行，请稍候。" : "");
    } else if (message.unit) tellLine(message.unit === "there" ? "" : "The unit's process is gone. 设备进程已退出。");
  }

  function tellLine(text) {
    by("line").textContent = text;
    by("line").hidden = !text;
  }

  const feed = new EventSource(`${here}/live`);
  feed.onmessage = (event) => takeIn(JSON.parse(event.data));
  feed.onerror = () => tellLine("The demo does not answer. 演示程序没有响应。");

  // ---- what the visitor does

  async function send(what, body, type = "application/json") {
    by("fault").textContent = "";
    try {
      const answer = await fetch(`${here}/${what}`, { method: "POST", body, headers: { "content-type": type } });
      if (answer.ok) return true;
      const said = await answer.json().catch(() => ({}));
      by("fault").textContent = said.fault ? `${said.fault} ${said.fault_zh}` : `This did not work (${answer.status}). 未成功。`;
    } catch {
      tellLine("The demo does not answer. 演示程序没有响应。");
    }
    return false;
  }

  by("hold").addEventListener("submit", (event) => {
    event.preventDefault();
    stopCamera();
    const chosen = document.querySelector("input[name=who]:checked");
    send("code", JSON.stringify({ who: chosen.value, form: chosen.dataset.form }));
  });
  by("walk").addEventListener("click", () => send("walk", "{}"));
  by("leave").addEventListener("click", () => {
    stopCamera();
    rest();
    send("leave", "{}");
  });
  by("mute").addEventListener("click", toggleSound);
  by("photo").addEventListener("change", async () => {
    const [photo] = by("photo").files;
    if (photo) await send("picture", photo, "application/octet-stream");
    by("photo").value = "";
  });

  const skin = by("skin"), bodies = JSON.parse(skin.dataset.bodies);
  let warming = null;
  function tellSkin() {
    const skin_c = Number(skin.value).toFixed(1);
    skin.setAttribute("aria-valuetext", `${skin_c} °C`);
    by("body").textContent = `${skin_c} °C, of which the unit makes a body temperature of ${bodies[skin_c].toFixed(1)} °C 推算体温 ${bodies[skin_c].toFixed(1)} °C`;
  }
  skin.addEventListener("input", () => {
    tellSkin();
    clearTimeout(warming);
    warming = setTimeout(() => send("skin", JSON.stringify({ skin_c: Number(skin.value) })), 100);
  });
  tellSkin();

  // ---- the browser's camera, a picture every quarter of a second

  let stream = null;
  const canvas = document.createElement("canvas");

  async function toggleCamera() {
    if (stream) {
      stopCamera();
      send("leave", "{}");
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    } catch (wrong) {
      by("fault").textContent = `No camera: ${wrong.message}. 没有可用的摄像头。`;
      return;
    }
    say(by("camera"), "Stop the camera", "关闭摄像头");
    by("video").srcObject = stream;
    await by("video").play();
    film();
  }

  function stopCamera() {
    if (!stream) return;
    for (const track of stream.getTracks()) track.stop();
    stream = null;
    say(by("camera"), "Use this browser's camera", "使用摄像头");
  }

  async function film() {
    while (stream) {
      const { videoWidth, videoHeight } = by("video");
      const scale = Math.min(1, MOST_SIDE / Math.max(videoWidth, videoHeight, 1));
      canvas.width = Math.max(1, Math.round(videoWidth * scale));
      canvas.height = Math.max(1, Math.round(videoHeight * scale));
      canvas.getContext("2d").drawImage(by("video"), 0, 0, canvas.width, canvas.height);
      const frame = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
      if (stream && frame && !(await send("picture", frame, "image/jpeg"))) stopCamera();
      await new Promise((resolve) => setTimeout(resolve, CAMERA_MS));
    }
  }

  by("camera").addEventListener("click", toggleCamera);
})();
