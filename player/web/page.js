// The watch page: plays a channel with hls.js, shows what the viewer gets, and switches rungs.
// "Server" mode plays adaptive.m3u8, where the origin switches one session; "player" mode plays
// index.m3u8, where hls.js chooses; "low" mode plays ll.m3u8 part by part, close to the live edge.

import { Timeline } from "./timeline.js";

const SAMPLE_MS = 500;
const RETRY_MS = [500, 1000, 2000, 3000];
const REOPEN_AFTER = 3;
const CHANNELS_RETRY_MS = 3000;
const HINTS = {
  server: "The origin writes one playlist for this session and changes the rung inside it.",
  player: "hls.js measures its own connection and picks from all rungs.",
  low: "Parts of a fraction of a second, close to live; hls.js picks the rung.",
};
const PLAYLISTS = { server: "adaptive.m3u8", player: "index.m3u8", low: "ll.m3u8" };
const BASIC = { backBufferLength: 30, capLevelToPlayerSize: false };
// The distance from the live edge is the server's PART-HOLD-BACK; a stall asks for a little more.
const LOW = { lowLatencyMode: true, liveSyncOnStallIncrease: 0.25 };
/** Join through a manager: `?join=http://host:8090`. It chooses the server, and may move us. */
const JOIN = new URLSearchParams(location.search).get("join")?.replace(/\/$/, "") ?? null;
const PACE = { gain: 0.5, range: 0.05, deadBand_s: 0.1, jump_s: 2, firstJump_s: 0.3 };

const $ = (id) => document.getElementById(id);
const video = $("video");
const timeline = new Timeline($("timeline"));

const view = {
  channels: [],
  channel: null,
  mode: "server",
  hls: null,
  session: null,
  shown: null,
  ask: null,
  wish: null,
  stalls: 0,
  started: false,
  paced: false,
  ready: false,
  failures: 0,
  retry: null,
};

// Channels and ladder.

async function loadChannels() {
  try {
    const answer = await fetch("/api/v1/channels", { cache: "no-store" });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const body = await answer.json();
    view.channels = (body.channels ?? []).filter((channel) => channel?.name);
    if (!view.channels.length) throw new Error("no channel is on the air");
  } catch (error) {
    setState("fail", "No channel");
    notice(`Waiting for a channel: ${error.message}.`);
    setTimeout(loadChannels, CHANNELS_RETRY_MS);
    return;
  }
  const select = $("channel");
  select.replaceChildren(...view.channels.map(({ name }) => new Option(name, name)));
  select.disabled = view.channels.length < 2;
  const wanted = new URLSearchParams(location.search).get("channel");
  const found = view.channels.find(({ name }) => name === wanted) ?? view.channels[0];
  select.value = found.name;
  choose(found);
}

function choose(channel) {
  view.channel = channel;
  $("low").hidden = !channel.low_latency;
  if (view.mode === "low" && !channel.low_latency) setMode("server");
  document.title = `${channel.name} · surgecast`;
  open();
}

/** The rungs, best first. Before the API tells, what the multivariant playlist lists. */
function ladder() {
  const rungs = view.channel?.ladder ?? [];
  return [...rungs].sort((a, b) => (b.height ?? 0) - (a.height ?? 0) || rate(b) - rate(a));
}

const rate = (rung) => rung.peak_bps ?? rung.average_bps ?? 0;

function bitrate(bps) {
  if (!bps) return "";
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

function describe(rung) {
  const size = rung.width ? `${rung.width}×${rung.height}` : "";
  return [size, bitrate(rate(rung))].filter(Boolean).join(" · ");
}

function drawLadder() {
  const rungs = ladder();
  const automatic = document.createElement("button");
  automatic.type = "button";
  automatic.dataset.rung = "";
  automatic.append(cell("b", "Auto"), cell("span", AUTOMATIC[view.mode]), cell("i", ""));
  const buttons = rungs.map((rung) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.rung = rung.name;
    button.append(cell("b", rung.name), cell("span", describe(rung)), cell("i", ""));
    return button;
  });
  $("ladder").replaceChildren(automatic, ...buttons);
  timeline.setRungs(rungs.map(({ name }) => name));
  markLadder();
}

const AUTOMATIC = {
  server: "as high as the origin allows",
  player: "as high as the line carries",
  low: "as high as the line carries",
};

function cell(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function markLadder() {
  for (const button of $("ladder").children) {
    const shown = button.dataset.rung !== "" && button.dataset.rung === view.shown;
    const asked = view.ask !== null && button.dataset.rung === view.ask.rung;
    button.dataset.shown = shown;
    button.dataset.asked = asked;
    button.setAttribute("aria-pressed", String(shown));
    button.lastChild.textContent = asked ? "asked" : shown ? "on screen" : "";
  }
}

// Playing.

function setMode(mode) {
  view.mode = mode;
  document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
}

function playlistUrl() {
  const channel = encodeURIComponent(view.channel.name);
  if (JOIN) {
    const playlist = PLAYLISTS[view.mode].replace(".m3u8", "");
    return new URL(`${JOIN}/watch/${channel}?playlist=${playlist}`, location.href).href;
  }
  return new URL(`/live/${channel}/${PLAYLISTS[view.mode]}`, location.href).href;
}

function open() {
  close();
  Object.assign(view, {
    session: null, shown: null, ask: null, wish: null, stalls: 0,
    started: false, paced: false, ready: false,
  });
  timeline.clear();
  $("address").value = playlistUrl();
  $("hint").textContent = HINTS[view.mode];
  report("");
  drawLadder();
  setState("wait", "Connecting");
  if (globalThis.Hls?.isSupported()) attach();
  else if (video.canPlayType("application/vnd.apple.mpegurl")) video.src = playlistUrl();
  else notice("This browser cannot play HLS.");
}

function close() {
  clearTimeout(view.retry);
  view.hls?.destroy();
  view.hls = null;
  video.playbackRate = 1;
  view.failures = 0;
}

function attach() {
  const hls = new Hls(view.mode === "low" ? { ...BASIC, ...LOW } : BASIC);
  view.hls = hls;
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    view.session = hls.levels.map(sessionOf).find(Boolean) ?? null;
    view.ready = true;
    if (view.wish !== null) tell(view.wish);
    video.play().catch(() => notice("Press play to start."));
  });
  hls.on(Hls.Events.FRAG_BUFFERED, () => { view.failures = 0; });
  hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => {
    showServer(frag, hls.levels[frag.level]);
    show(view.mode === "server" ? rungOf(frag) : levelName(hls.levels[frag.level]));
  });
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) recover(hls, data); });
  hls.loadSource(playlistUrl());
  hls.attachMedia(video);
}

function sessionOf(level) {
  const found = /\/s\/([^/]+)\/media\.m3u8/.exec(level.uri ?? level.url?.[0] ?? level.url ?? "");
  return found && decodeURIComponent(found[1]);
}

function rungOf(frag) {
  const found = /\/live\/[^/]+\/([^/]+)\/[^/]+$/.exec(new URL(frag.url, location.href).pathname);
  return found && decodeURIComponent(found[1]);
}

/** A network that fails gets another try, later each time; a session that is gone, a new one. */
function recover(hls, data) {
  const attempt = view.failures++;
  setState("wait", "Reconnecting");
  if (data.type === Hls.ErrorTypes.MEDIA_ERROR && attempt < REOPEN_AFTER) {
    hls.recoverMediaError();
    return;
  }
  const delay = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)];
  const fresh = attempt >= REOPEN_AFTER || /manifest/i.test(data.details);
  clearTimeout(view.retry);
  view.retry = setTimeout(() => {
    if (view.hls !== hls) return;
    if (fresh) hls.loadSource(playlistUrl());
    else hls.startLoad();
  }, delay);
}

function show(rung) {
  if (rung === null) return;
  view.shown = rung;
  const { ask } = view;
  if (ask?.rung === rung) {
    const took = (performance.now() - ask.at) / 1000;
    report(`${rung} on screen ${took.toFixed(1)} s after it was asked for.`);
    view.ask = null;
  }
  const known = ladder().find(({ name }) => name === rung);
  $("rung").value = rung;
  $("rung-detail").textContent = known ? describe(known) : "";
  markLadder();
}

/** Which server the picture on screen came from; a crowd may have moved us to another. */
function showServer(frag, level) {
  const { host } = new URL(frag.url, location.href);
  const pathway = level?.attrs?.["PATHWAY-ID"];
  $("server").value = pathway ?? host;
  $("server-detail").textContent = pathway ? host : "";
}

// Switching.

/** A rung was pressed. Before the playlist is there the wish waits, and it outlives a new session. */
function ask(rung) {
  const now = performance.now();
  timeline.mark(now, "ask");
  view.ask = rung === view.shown ? null : { rung, at: now };
  view.wish = rung;
  markLadder();
  if (view.ready) tell(rung);
}

async function tell(rung) {
  if (view.mode !== "server") {
    askPlayer(rung);
    return;
  }
  try {
    await askServer(rung);
    if (rung === "") view.ask = null;
    report(verdict(rung));
    markLadder();
  } catch (error) {
    view.ask = null;
    report(`Not switched: ${error.message}.`);
    markLadder();
  }
}

function verdict(rung) {
  if (rung === "") return "The origin chooses.";
  return view.ask
    ? `Asked the origin for ${rung}; it comes with the next new segment.`
    : `The session stays on ${rung}.`;
}

async function askServer(rung) {
  if (!view.session) throw new Error("the session is not known yet");
  const channel = encodeURIComponent(view.channel.name);
  const url = `/api/v1/channels/${channel}/sessions/${encodeURIComponent(view.session)}/rung`;
  const put = (value) => fetch(url, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ rung: value }),
  });
  let answer = await put(rung || null);
  // An origin without an automatic choice gets asked for the best rung.
  if (!rung && answer.status >= 400 && answer.status < 500) answer = await put(ladder()[0]?.name);
  if (answer.ok) return;
  const allowed = answer.status !== 401 && answer.status !== 403;
  throw new Error(allowed ? `the origin answers ${answer.status}` : "this page may not switch rungs");
}

function askPlayer(rung) {
  const { hls } = view;
  if (!hls) return;
  // Close to live there is nothing buffered to throw away: the next segment is soon enough.
  const aim = view.mode === "low" ? "loadLevel" : "nextLevel";
  if (rung === "") {
    hls[aim] = -1;
    view.ask = null;
    report("hls.js chooses.");
  } else {
    hls[aim] = hls.levels.findIndex((level) => levelName(level) === rung);
    report(view.ask ? `Told hls.js to play ${rung}.` : `hls.js stays on ${rung}.`);
  }
  markLadder();
}

function levelName(level) {
  const found = /\/([^/]+)\/media\.m3u8/.exec(level.uri ?? level.url?.[0] ?? level.url ?? "");
  return found && decodeURIComponent(found[1]);
}

// Measurements.

function latency() {
  const date = view.hls?.playingDate;
  if (!date || video.readyState < 2) return null;
  return Math.max(0, (Date.now() - date.getTime()) / 1000);
}

function ahead() {
  const now = video.currentTime;
  for (let i = 0; i < video.buffered.length; i++) {
    if (video.buffered.start(i) <= now + 0.1 && now < video.buffered.end(i)) {
      return video.buffered.end(i) - now;
    }
  }
  return 0;
}

/** Stay at the wanted distance from the live edge. hls.js would not speed up on less than a second
 *  of buffer, which at this distance is always; far behind, the picture jumps, and sooner at its
 *  start, where nobody minds. */
function keepPace() {
  const { hls } = view;
  if (view.mode !== "low" || !hls?.latency || video.readyState < 3 || video.paused) return;
  const off = hls.latency - hls.targetLatency;
  const step = Math.abs(off) < PACE.deadBand_s ? 0 : PACE.gain * off;
  video.playbackRate = 1 + Math.max(-PACE.range, Math.min(PACE.range, step));
  const far = off > (view.paced ? PACE.jump_s : PACE.firstJump_s);
  view.paced = true;
  if (far && ahead() > off) video.currentTime += off;
}

function measure() {
  keepPace();
  const behind = latency();
  $("latency").value = behind === null ? "–" : behind.toFixed(view.mode === "low" ? 2 : 1);
  $("buffer").value = ahead().toFixed(1);
  $("stalls").value = view.stalls;
  $("dropped").value = video.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0;
  timeline.sample(performance.now(), video.paused ? null : view.shown, behind);
}

function setState(kind, text) {
  const state = $("state");
  if (state.textContent === text) return;
  state.dataset.kind = kind;
  state.textContent = text;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = text === "";
}

function report(text) {
  $("report").textContent = text;
}

// Wiring.

video.addEventListener("playing", () => {
  view.started = true;
  notice("");
  setState("live", "Live");
});
video.addEventListener("waiting", () => {
  if (!view.started || video.seeking) return;
  view.stalls += 1;
  timeline.mark(performance.now(), "stall");
  setState("wait", "Buffering");
});
video.addEventListener("pause", () => setState("wait", "Paused"));
video.addEventListener("ended", () => setState("wait", "Ended"));

$("ladder").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) ask(button.dataset.rung);
});
for (const radio of document.querySelectorAll("input[name=mode]")) {
  radio.addEventListener("change", () => {
    setMode(radio.value);
    if (view.channel) open();
  });
}
$("channel").addEventListener("change", (event) => {
  choose(view.channels.find(({ name }) => name === event.target.value));
});
$("copy").addEventListener("click", async () => {
  $("address").select();
  try {
    await navigator.clipboard.writeText($("address").value);
    $("copy").textContent = "Copied";
  } catch {
    $("copy").textContent = "Press Ctrl+C";
  }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 2000);
});

setInterval(measure, SAMPLE_MS);
loadChannels();
