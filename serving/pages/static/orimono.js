// Makes pages livelier; each of them works without this file.
// Live parts are fetched anew when the server says that something changed; files go up in pieces by tus 1.0.0.
"use strict";

const token = document.querySelector("meta[name=csrf]")?.content ?? "";

// -- parts of a page that change by themselves ------------------------------------------------------------------

function follow(region) {
  const said = document.getElementById("live-said");
  let asking = false, again = false, ended = false, timer = 0, source = null, last = "";

  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(region.dataset.live, { headers: { Accept: "text/html" } });
      if (answer.redirected) { location.reload(); return; }
      if (answer.ok) show(await answer.text());
    } catch { /* the server is away for a moment: the next try comes by itself */ }
    asking = false;
    if (again && !ended) { again = false; refresh(); }
  }

  function show(html) {
    const playing = [...region.querySelectorAll("video, audio")].some((one) => !one.paused);
    const inside = region.contains(document.activeElement) ? document.activeElement : null;
    if (playing) return;
    const fresh = new DOMParser().parseFromString(`<body>${html}</body>`, "text/html");
    region.replaceChildren(...fresh.body.childNodes);
    if (inside) refocus(region, inside);
    const state = region.querySelector("[data-said]");
    if (said && state && state.dataset.said !== last) { last = state.dataset.said; said.textContent = last; }
    if (state?.hasAttribute("data-ended")) stop();
  }

  function stop() { ended = true; clearInterval(timer); source?.close(); }

  source = new EventSource(region.dataset.events);
  source.addEventListener("progress", refresh);
  source.addEventListener("end", () => { source.close(); refresh(); });
  // Whatever becomes of the stream, the page is never more than five seconds behind.
  timer = setInterval(refresh, 5000);
}

function refocus(region, before) {
  const same = before.id ? `#${CSS.escape(before.id)}`
    : before.getAttribute("href") ? `${before.localName}[href="${CSS.escape(before.getAttribute("href"))}"]` : before.localName;
  region.querySelector(same)?.focus({ preventScroll: true });
}

document.querySelectorAll("[data-live]").forEach(follow);

// -- players: links to files last two minutes, the page's address of them as long as the session -------------------

document.addEventListener("error", (event) => {
  const player = event.target;
  if (!(player instanceof HTMLMediaElement) || !player.currentTime || player.dataset.renewed === String(player.currentTime)) return;
  const at = player.currentTime;
  player.dataset.renewed = String(at);
  player.addEventListener("loadedmetadata", () => { player.currentTime = at; player.play(); }, { once: true });
  player.load();
}, true);

document.addEventListener("play", (event) => {
  document.querySelectorAll("video, audio").forEach((one) => { if (one !== event.target) one.pause(); });
}, true);

// -- files that go up in pieces -----------------------------------------------------------------------------------

const PIECE = 8 * 1024 * 1024;
const encoded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const tus = (more) => ({ "Tus-Resumable": "1.0.0", "X-CSRF-Token": token, ...more });

class Refusal extends Error {}

async function refusal(answer) {
  const problem = await answer.json().catch(() => null);
  return new Refusal(problem?.detail ?? `The server answered ${answer.status}.`);
}

class Sending {
  constructor(file, kind, list) {
    this.file = file; this.kind = kind; this.url = null; this.id = null; this.given_up = false;
    this.mark = `orimono-upload:${kind}:${file.name}:${file.size}:${file.lastModified}`;
    this.row = document.createElement("li");
    this.row.innerHTML = '<span class="file-name"></span><span class="state"></span><button type="button" class="quiet small">Remove</button><progress class="cloth" max="1" value="0"></progress><span class="trouble" role="alert"></span>';
    this.row.querySelector(".file-name").textContent = file.name;
    this.bar = this.row.querySelector("progress");
    this.bar.setAttribute("aria-label", `${file.name}, sent`);
    this.button = this.row.querySelector("button");
    this.button.setAttribute("aria-label", `Remove ${file.name}`);
    this.button.addEventListener("click", () => this.drop());
    list.hidden = false;
    list.append(this.row);
    this.done = this.run();
  }

  say(text) { this.row.querySelector(".state").textContent = text; }
  trouble(text) { this.row.querySelector(".trouble").textContent = text; }

  async run() {
    for (let tries = 0; !this.given_up; tries = Math.min(tries + 1, 5)) {
      try {
        await this.begin();
        await this.pieces(() => { tries = 0; });
        await this.checked();
        this.trouble("");
        localStorage.removeItem(this.mark);
        return true;
      } catch (error) {
        if (this.given_up) return false;
        if (error instanceof Refusal) { this.trouble(error.message); this.say("refused"); localStorage.removeItem(this.mark); return false; }
        this.say(`waits for the connection, tries again in ${2 ** tries} s`);
        await wait(2 ** tries);
      }
    }
    return false;
  }

  async begin() {
    this.offset = 0;
    const known = this.url ?? localStorage.getItem(this.mark);
    if (known) {
      const answer = await fetch(known, { method: "HEAD", headers: tus() });
      if (answer.ok) { this.url = known; this.offset = Number(answer.headers.get("Upload-Offset")); }
      else if (answer.status >= 500 || answer.status === 429) throw new Error("away");
      else this.url = null;
    }
    if (!this.url) {
      const metadata = `filename ${encoded(this.file.name)},kind ${encoded(this.kind)}`;
      const answer = await fetch("/v1/uploads", { method: "POST", headers: tus({ "Upload-Length": String(this.file.size), "Upload-Metadata": metadata }) });
      if (!answer.ok) throw answer.status >= 500 || answer.status === 429 ? new Error("away") : await refusal(answer);
      this.url = new URL(answer.headers.get("Location"), location.href).pathname;
      localStorage.setItem(this.mark, this.url);
    }
    this.id = this.url.split("/").pop();
  }

  async pieces(moved) {
    while (this.offset < this.file.size) {
      if (this.given_up) throw new Error("dropped");
      await this.piece();
      moved();
    }
  }

  piece() {
    return new Promise((done, failed) => {
      const request = this.request = new XMLHttpRequest(); // fetch tells nothing of how far a body is sent
      request.open("PATCH", this.url);
      for (const [name, value] of Object.entries(tus({ "Upload-Offset": String(this.offset), "Content-Type": "application/offset+octet-stream" }))) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => this.show(this.offset + event.loaded);
      request.onload = () => {
        if (request.status === 204) { this.offset = Number(request.getResponseHeader("Upload-Offset")); this.show(this.offset); done(); return; }
        let detail = `The server answered ${request.status}.`;
        try { detail = JSON.parse(request.responseText).detail; } catch { /* no problem+json */ }
        failed(request.status >= 500 || [409, 423, 429, 408].includes(request.status) ? new Error("again") : new Refusal(detail));
      };
      request.onerror = request.onabort = () => failed(new Error("away"));
      request.send(this.file.slice(this.offset, this.offset + PIECE));
    });
  }

  show(bytes) {
    const part = this.file.size ? bytes / this.file.size : 1;
    this.bar.value = part;
    this.say(`${Math.floor(100 * part)} % of ${size(this.file.size)}`);
  }

  async checked() {
    this.bar.value = 1;
    this.say("being looked at");
    for (;;) {
      const answer = await fetch(this.url, { headers: { Accept: "application/json", "X-CSRF-Token": token } });
      if (!answer.ok) throw answer.status >= 500 || answer.status === 429 ? new Error("away") : await refusal(answer);
      const upload = await answer.json();
      if (upload.status === "ready") { this.say(`here, ${size(this.file.size)}`); return; }
      if (upload.status === "refused") throw new Refusal(upload.error);
      if (upload.status !== "checking") throw new Refusal("It was used by a job already; choose it once more.");
      await wait(0.3);
    }
  }

  async drop() {
    const list = this.row.parentElement;
    this.given_up = true;
    this.request?.abort();
    this.row.remove();
    list.hidden = !list.children.length;
    localStorage.removeItem(this.mark);
    list.closest(".slot").querySelector("input[type=file]").focus();
    if (this.url) await fetch(this.url, { method: "DELETE", headers: tus() }).catch(() => {});
  }
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let n = 0;
  while (bytes >= 1000 && n < 3) { bytes /= 1000; n += 1; }
  return `${n ? bytes.toFixed(1) : bytes} ${units[n]}`;
}

function uploading(form) {
  const sendings = new Map();
  const problem = form.querySelector("#form-error"), state = form.querySelector("#sending"), button = form.querySelector("#send");
  form.querySelectorAll(".slot").forEach((slot) => {
    const input = slot.querySelector("input[type=file]"), list = slot.querySelector(".uploads");
    const required = input.required;
    sendings.set(slot, []);
    const take = (files) => {
      const kept = sendings.get(slot);
      if (!input.multiple) kept.splice(0).forEach((one) => one.row.isConnected && one.drop());
      for (const file of input.multiple ? files : [...files].slice(0, 1)) kept.push(new Sending(file, slot.dataset.kind, list));
      input.value = "";
      input.required = required && !kept.some((one) => one.row.isConnected);
    };
    input.addEventListener("change", () => take([...input.files]));
    list.addEventListener("click", () => { input.required = required && !list.children.length; });
    slot.addEventListener("dragover", (event) => { event.preventDefault(); slot.classList.add("over"); });
    slot.addEventListener("dragleave", () => slot.classList.remove("over"));
    slot.addEventListener("drop", (event) => { event.preventDefault(); slot.classList.remove("over"); take([...event.dataTransfer.files]); });
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    state.textContent = "Waits for the files to arrive.";
    const all = [...sendings].flatMap(([slot, kept]) => kept.filter((one) => one.row.isConnected).map((one) => [slot.dataset.kind, one]));
    const arrived = await Promise.all(all.map(([, one]) => one.done));
    if (arrived.includes(false)) return stop("A file was refused: see there, and remove it or choose another.");
    const fields = new FormData(form);
    for (const name of [...fields.keys()]) if (name.startsWith("file_")) fields.delete(name);
    all.forEach(([kind, one]) => fields.append(`upload_${kind}`, one.id));
    state.textContent = "Sends the job.";
    try {
      const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json" } });
      const told = await answer.json();
      if (answer.ok) { location.assign(told.url); return; }
      stop(told.detail);
    } catch {
      stop("The server could not be reached. Nothing is lost: send again in a moment.");
    }
  });

  function stop(sentence) {
    problem.textContent = sentence;
    problem.hidden = false;
    state.textContent = "";
    button.disabled = false;
    problem.scrollIntoView({ block: "center" });
  }
}

document.querySelectorAll("form[data-upload]").forEach(uploading);

// -- forms that ask before they act --------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const sentence = event.target.dataset.confirm;
  if (sentence && !window.confirm(sentence)) event.preventDefault();
});
