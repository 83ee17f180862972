// @ts-check
/** The shown frame: seeking, stepping, playing. */

import { element } from './dom.js';

/** Milliseconds before a nearby frame is shown while the requested one is decoded. */
const SLOW = 60;

const AHEAD = 6;

export class Playback {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    this.count = 1;
    this.rate = 25;
    this.frame = 0;
    this.wanted = 0;
    this.showing = false;
    /** Whether a requested frame is still loading; until it is shown, nothing is changed. */
    this.asked = false;
    this.playing = false;
    this.stale = false;
    this.revision = 0;
    /** @type {Promise<void>} */
    this.refreshed = Promise.resolve();
    element('frame').onchange = () => {
      this.seek(Number(element('frame').value));
      element('view').focus();
    };
  }

  /** Whether the requested frame is shown and can be changed. */
  get ready() {
    return this.playing || (!this.asked && !this.app.viewer.near);
  }

  /** @param {number} count */
  setCount(count) {
    this.count = count;
    this.app.timeline.setCount(count);
    for (const id of ['frame', 'first', 'last']) element(id).max = String(count - 1);
  }

  /**
   * Show a frame requested by the person, and stop following the tracking.
   * @param {number} frame
   */
  seek(frame) {
    this.app.tracking.stopFollowing();
    this.asked = true;
    return this.goTo(frame);
  }

  /**
   * Show a frame; of several requests in a row only the last counts.
   * @param {number} frame
   */
  async goTo(frame) {
    this.wanted = Math.min(this.count - 1, Math.max(0, Math.round(frame) || 0));
    if (this.wanted !== this.frame) this.app.toolbox.cancel();
    if (this.showing) return;
    this.showing = true;
    try {
      let shown = -1;
      while (shown !== this.wanted || this.stale) {
        shown = this.wanted;
        this.stale = false;
        await this.show(shown);
      }
      this.asked = false;
    } catch (error) {
      this.wanted = this.frame;
      this.asked = false;
      this.app.viewer.stay();
      this.app.inputs.clear();
      this.app.fail(error);
    } finally {
      this.showing = false;
    }
    this.app.inputs.drain();
  }

  /** @param {number} frame */
  async show(frame) {
    const { frames, viewer } = this.app;
    const wanted = Promise.all([frames.image(frame), frames.labels(frame)]);
    let arrived = false;
    wanted.then(() => { arrived = true; }, () => { arrived = true; });
    if (!this.playing) {
      setTimeout(() => {
        if (!arrived) frames.nearImage(frame).then((near) => {
          if (!arrived && near) viewer.showNear(near);
        }, () => {});
      }, SLOW);
    }
    const [image, labels] = await wanted;
    if (frame !== this.frame) this.revision = 0;
    this.frame = frame;
    viewer.show(image, labels);
    this.showNumber();
  }

  showNumber() {
    if (document.activeElement !== element('frame')) element('frame').value = String(this.frame);
    const seconds = this.frame / this.rate;
    element('time').textContent = `of ${this.count - 1} · ${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, '0')}`;
    this.app.timeline.setFrame(this.frame);
  }

  /**
   * Refresh the masks of a frame that changed.
   * @param {number} frame
   * @param {number} revision of all masks
   */
  changed(frame, revision) {
    if (frame === (this.showing ? this.wanted : this.frame)) this.refresh(revision);
  }

  /**
   * Fetch the masks of this frame again, unless this revision was already requested.
   * @param {number} revision
   */
  refresh(revision) {
    if (this.showing) this.stale = true;
    else if (revision > this.revision) {
      this.revision = revision;
      this.refreshed = this.fetchLabels();
    }
    return this.refreshed;
  }

  async fetchLabels() {
    const { frame } = this;
    try {
      const labels = await this.app.frames.labels(frame);
      if (frame === this.frame && !this.showing) this.app.viewer.show(null, labels);
    } catch (error) {
      this.app.fail(error);
    }
  }

  /** @param {number} by */
  step(by) {
    return this.seek(this.wanted + by);
  }

  async play() {
    this.playing = !this.playing;
    element('play').textContent = this.playing ? '❚❚' : '▶';
    element('play').setAttribute('aria-label', this.playing ? 'Stop' : 'Play');
    this.app.tracking.stopFollowing();
    if (this.playing && this.wanted >= this.count - 1) await this.goTo(0);
    let due = performance.now();
    while (this.playing && this.wanted < this.count - 1) {
      await this.goTo(this.wanted + 1);
      for (let ahead = 1; ahead < AHEAD && this.wanted + ahead < this.count; ahead += 1) this.app.frames.image(this.wanted + ahead).catch(() => {});
      due = Math.max(performance.now() - 500, due + 1000 / this.rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.playing) await this.play();
  }
}
