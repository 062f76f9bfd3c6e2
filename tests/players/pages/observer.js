// Counts what a <video> element shows, in the same way for every player under test.
"use strict";

const START_LIMIT_MS = 60000;
const SAMPLE_MS = 250;

class Observer {
  constructor(video) {
    this.video = video;
    this.sizes = [];
    this.errors = [];
    this.stalls = [];
    this.startedAt = null;
    this.firstFrameAt = null;
    this.latency = () => null;
    this.latencies = [];
    this.finished = new Promise((resolve) => { this.finish = resolve; });
    this.listen();
  }

  listen() {
    const { video } = this;
    const size = () => {
      const last = this.sizes.at(-1);
      const [width, height] = [video.videoWidth, video.videoHeight];
      if (width && (!last || last[0] !== width || last[1] !== height)) {
        this.sizes.push([width, height, video.currentTime]);
      }
    };
    video.addEventListener("loadedmetadata", size);
    video.addEventListener("resize", size);
    video.addEventListener("playing", () => {
      if (this.startedAt === null) {
        this.startedAt = performance.now();
        this.onStart?.();
      }
    });
    video.requestVideoFrameCallback((_, frame) => { this.firstFrameAt = frame.mediaTime; });
    video.addEventListener("waiting", () => {
      if (this.startedAt && !video.seeking && !video.ended) this.stalls.push(video.currentTime);
    });
    video.addEventListener("ended", () => this.finish());
    video.addEventListener("error", () => {
      this.fail(`video: code ${video.error?.code} ${video.error?.message}`);
    });
  }

  /** An error the player went on after. */
  note(text) { this.errors.push(text); }

  /** An error that ended play. */
  fail(text) { this.note(text); this.finish(); }

  /** Resolves `seconds` after the first picture, at the end of the stream, or at a fatal error. */
  async watch(seconds) {
    const late = setTimeout(() => this.fail("no picture in time"), START_LIMIT_MS);
    this.onStart = () => {
      clearTimeout(late);
      setTimeout(() => this.finish(), seconds * 1000);
    };
    if (this.startedAt) this.onStart();
    const sampling = setInterval(() => this.sample(), SAMPLE_MS);
    await this.finished;
    clearInterval(sampling);
    clearTimeout(late);
    return this.report();
  }

  /** Live latency while there is a picture that moves. */
  sample() {
    const { video } = this;
    if (this.firstFrameAt === null || video.paused || video.readyState < 3) return;
    const behind = this.latency();
    if (behind !== null) this.latencies.push(behind);
  }

  report() {
    const { video, firstFrameAt } = this;
    const quality = video.getVideoPlaybackQuality();
    return {
      frames: quality.totalVideoFrames,
      dropped: quality.droppedVideoFrames,
      stalls: this.stalls,
      sizes: this.sizes,
      errors: this.errors,
      media_s: firstFrameAt === null ? 0 : video.currentTime - firstFrameAt,
      latency_s: this.latency(),
      latencies_s: this.latencies,
    };
  }
}

const asked = new URLSearchParams(location.search);
const video = document.querySelector("video");
const source = asked.get("url");
const lowLatency = asked.get("low") === "1";
video.defaultPlaybackRate = video.playbackRate = Number(asked.get("rate") ?? 1);
const observer = new Observer(video);
