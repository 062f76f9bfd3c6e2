// The chart of the last minute: which rung was on screen, how far behind live, what went wrong.

const SPAN_MS = 60_000;
const MARGIN = { left: 76, right: 52, top: 8, bottom: 22 };
const LATENCY_STEPS_S = [2, 5, 10, 20, 30, 60, 120];

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.rungs = [];
    this.clear();
    const style = getComputedStyle(document.documentElement);
    this.color = (name) => style.getPropertyValue(`--${name}`).trim();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  clear() {
    this.samples = [];
    this.marks = [];
  }

  /** Names of the rungs, top first: the rows of the chart. */
  setRungs(names) {
    this.rungs = names;
  }

  sample(now, rung, latency) {
    this.samples.push({ at: now, rung, latency });
    const keep = (entry) => entry.at >= now - SPAN_MS - 1000;
    this.samples = this.samples.filter(keep);
    this.marks = this.marks.filter(keep);
    this.draw(now);
  }

  /** `kind` is "ask" or "stall". */
  mark(now, kind) {
    this.marks.push({ at: now, kind });
  }

  draw(now = performance.now()) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const frame = {
      left: MARGIN.left,
      right: width - MARGIN.right,
      top: MARGIN.top,
      bottom: height - MARGIN.bottom,
    };
    const x = (at) => frame.right - ((now - at) / SPAN_MS) * (frame.right - frame.left);
    this.drawTime(pen, frame);
    this.drawRungs(pen, frame, x);
    this.drawMarks(pen, frame, x);
    this.drawLatency(pen, frame, x);
  }

  drawTime(pen, frame) {
    pen.fillStyle = this.color("soft");
    pen.textBaseline = "bottom";
    pen.textAlign = "center";
    const narrow = frame.right - frame.left < 420;
    for (let ago = 60; ago >= 0; ago -= narrow ? 30 : 10) {
      const at = frame.right - (ago / 60) * (frame.right - frame.left);
      pen.fillText(ago ? `−${ago} s` : "now", at, frame.bottom + MARGIN.bottom);
    }
  }

  drawRungs(pen, frame, x) {
    const rows = Math.max(1, this.rungs.length);
    const row = (frame.bottom - frame.top) / rows;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    this.rungs.forEach((name, index) => {
      const middle = frame.top + row * (index + 0.5);
      pen.fillStyle = this.color("line");
      pen.fillRect(frame.left, Math.round(middle), frame.right - frame.left, 1);
      pen.fillStyle = this.color("soft");
      pen.fillText(name, frame.left - 12, middle);
    });
    const thick = Math.min(12, row * 0.5);
    pen.fillStyle = this.color("rung");
    this.eachStep(({ rung, from, until }) => {
      const index = this.rungs.indexOf(rung);
      if (index < 0) return;
      const start = Math.max(frame.left, x(from));
      const middle = frame.top + row * (index + 0.5);
      pen.beginPath();
      pen.roundRect(start, middle - thick / 2, Math.max(1, x(until) - start), thick, 3);
      pen.fill();
    });
  }

  /** Runs of samples on one rung. */
  eachStep(visit) {
    let step = null;
    for (const { at, rung } of this.samples) {
      if (step && step.rung === rung) {
        step.until = at;
        continue;
      }
      if (step) visit({ ...step, until: at });
      step = { rung, from: at, until: at };
    }
    if (step) visit(step);
  }

  drawMarks(pen, frame, x) {
    for (const { at, kind } of this.marks) {
      const line = Math.round(x(at));
      if (line < frame.left) continue;
      pen.strokeStyle = this.color(kind);
      pen.lineWidth = kind === "stall" ? 3 : 1.5;
      pen.setLineDash(kind === "ask" ? [3, 3] : []);
      pen.beginPath();
      pen.moveTo(line, frame.top);
      pen.lineTo(line, frame.bottom);
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  drawLatency(pen, frame, x) {
    const known = this.samples.filter(({ latency }) => latency !== null);
    const most = Math.max(0, ...known.map(({ latency }) => latency));
    const top = LATENCY_STEPS_S.find((step) => step >= most) ?? Math.ceil(most / 60) * 60;
    const y = (latency) => frame.bottom - (latency / top) * (frame.bottom - frame.top);
    pen.fillStyle = this.color("latency");
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const tick of [0, top / 2, top]) {
      const at = Math.min(frame.bottom - 6, Math.max(frame.top + 6, y(tick)));
      pen.fillText(`${tick} s`, frame.right + 12, at);
    }
    pen.save();
    pen.beginPath();
    pen.rect(frame.left, 0, frame.right - frame.left, frame.bottom + 1);
    pen.clip();
    pen.strokeStyle = this.color("latency");
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.beginPath();
    let drawing = false;
    for (const { at, latency } of this.samples) {
      if (latency === null) drawing = false;
      else if (drawing) pen.lineTo(x(at), y(latency));
      else {
        pen.moveTo(x(at), y(latency));
        drawing = true;
      }
    }
    pen.stroke();
    pen.restore();
  }
}
