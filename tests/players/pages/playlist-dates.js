// Live latency of a player that tells no dates: which segments it has loaded is known from the
// page's resource timings, when they were live from the playlist, and where they are on the
// player's timeline from the end of its buffer.
"use strict";

const LOOK_MS = 500;

class PlaylistDates {
  constructor(video) {
    this.video = video;
    this.ends = new Map();
    this.newest = null;
    this.playlist = null;
    this.offset = Infinity;
    this.latency = this.latency.bind(this);
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => this.take(entry.name)))
      .observe({ type: "resource", buffered: true });
    setInterval(() => this.look(), LOOK_MS);
  }

  take(url) {
    if (/\.(m4s|ts)$/.test(url)) this.newest = url;
    else if (/\/media\.m3u8$/.test(url)) this.playlist = url;
  }

  /** Note when the segments of the playlist that is played end. */
  async look() {
    if (!this.playlist) return;
    const text = await (await fetch(`${this.playlist}?dates`, { cache: "no-store" })).text();
    let [date, duration] = [null, 0];
    for (const line of text.split("\n")) {
      if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) date = Date.parse(line.slice(25)) / 1000;
      else if (line.startsWith("#EXTINF:")) duration = parseFloat(line.slice(8));
      else if (line && !line.startsWith("#") && date !== null) {
        this.ends.set(new URL(line, this.playlist).href, date + duration);
      }
    }
  }

  /** A segment may be loaded and not buffered yet: the smallest distance between the date of the
   *  newest and the end of the buffer is the true one. */
  latency() {
    const { video } = this;
    const end = this.ends.get(this.newest);
    if (end !== undefined && video.buffered.length) {
      this.offset = Math.min(this.offset, end - video.buffered.end(video.buffered.length - 1));
    }
    return Number.isFinite(this.offset) ? Date.now() / 1000 - this.offset - video.currentTime : null;
  }
}
