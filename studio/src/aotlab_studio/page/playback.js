/** Current frame: seeking, playing, refreshing its masks. */

import { element, elements, setIcon, showError } from './dom.js';

/** Milliseconds before a nearby frame is shown while the requested one is decoded. */
const NEAR_IMAGE_DELAY = 60;
const PREFETCH_FRAMES = 6;

export class Playback {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    this.count = 1;
    this.rate = 25;
    /** Current frame, and the revision of all masks at the request for its own. */
    this.frame = 0;
    this.revision = 0;
    /** Requested frame and revision. */
    this.target = { frame: 0, revision: 0 };
    /** Whether the user waits for the target frame; until it shows, nothing is changed. */
    this.isAwaited = false;
    /** Load of the target frame; aborted: the frame is not shown. @type {AbortController | null} */
    this.loading = null;
    /** Identifies the playback loop; null: stopped. @type {object | null} */
    this.currentRun = null;
    /** Resolves when the masks of the last refresh show. @type {Promise<void>} */
    this.lastRefresh = Promise.resolve();
    /** Waiting key presses and buttons, in order. @type {{run: () => void, changesFrame: boolean}[]} */
    this.inputs = [];
    const field = element('frame');
    const seek = () => this.seek(field.value === '' ? this.frame : Number(field.value));
    field.onchange = seek;
    // the typed number may be the one that the field showed during tracking, which is no change
    field.onkeydown = (event) => { if (event.key === 'Enter') seek(); };
    field.onblur = () => this.showPosition();
  }

  /** Whether the current frame can be changed. */
  get isReady() {
    return Boolean(this.currentRun) || (!this.isAwaited && !this.app.viewer.placeholder);
  }

  /**
   * Run an input after the earlier ones.
   * @param {() => void} run
   * @param {boolean} changesFrame whether it changes the frame that is requested, and waits until it shows
   */
  addInput(run, changesFrame) {
    this.inputs.push({ run, changesFrame });
    this.runInputs();
  }

  /** Run the inputs up to the first one that waits for its frame. */
  runInputs() {
    while (this.inputs.length && (!this.inputs[0].changesFrame || this.isReady)) this.inputs.shift()?.run();
  }

  /** @param {import('./protocol.js').Description} description */
  setVideo({ frames, rate, revision }) {
    this.count = frames;
    this.rate = rate;
    this.target.revision = revision;
    this.revision = -1; // of an earlier run of the program, perhaps
    this.app.timeline.draw();
    for (const field of elements('frame', 'first', 'last')) field.max = String(frames - 1);
  }

  /** Show a frame requested by the user, and stop following the tracking. @param {number} frame */
  seek(frame) {
    this.app.tracking.isFollowing = false;
    this.isAwaited = true;
    return this.goTo(frame);
  }

  /** Show a frame; of several requests in a row only the last counts. @param {number} frame */
  async goTo(frame) {
    const { app, target } = this;
    target.frame = Math.min(this.count - 1, Math.max(0, Math.round(frame) || 0));
    if (target.frame !== this.frame) app.toolbox.cancel();
    if (this.loading) return;
    try {
      while (target.frame !== this.frame || target.revision > this.revision) {
        this.loading = new AbortController();
        await this.load(target, this.loading.signal);
      }
    } catch (error) {
      target.frame = this.frame;
      this.stop();
      app.viewer.placeholder = null;
      app.viewer.draw();
      this.inputs = [];
      showError(error);
    }
    this.isAwaited = false;
    this.loading = null;
    this.refresh(target.revision); // does nothing, except after an error
    this.runInputs();
  }

  /** Load and show a frame with masks. @param {{frame: number, revision: number}} target @param {AbortSignal} signal */
  async load({ frame, revision }, signal) {
    const { frames, viewer } = this.app;
    const answer = Promise.all([frames.image(frame), frames.labels(frame)]);
    let hasArrived = false;
    const showNear = async () => {
      const near = hasArrived ? null : await frames.nearImage(frame).catch(() => null);
      if (near && !hasArrived) viewer.placeholder = near;
      viewer.draw();
    };
    if (this.isAwaited || !viewer.image) setTimeout(showNear, NEAR_IMAGE_DELAY);
    const [image, labels] = await answer.finally(() => { hasArrived = true; });
    if (signal.aborted) return;
    this.frame = frame;
    this.revision = revision;
    viewer.show(image, labels);
    this.app.toolbox.show();
    this.showPosition();
  }

  showPosition() {
    if (document.activeElement !== element('frame')) element('frame').value = String(this.frame);
    const seconds = this.frame / this.rate;
    const time = `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, '0')}`;
    const [first, last] = this.app.document.editable_range;
    const isOutside = this.frame < first || this.frame > last;
    const note = isOutside ? ` · outside the tracked part (frames ${first} to ${last})` : '';
    element('time').textContent = `of ${this.count - 1} · ${time}${note}`;
    this.app.timeline.showFrame();
    this.app.review.showNote();
  }

  /** Fetch the masks of this frame again, unless this revision's were requested. @param {number} revision */
  refresh(revision) {
    this.target.revision = Math.max(this.target.revision, revision);
    if (!this.loading && this.target.revision > this.revision) this.lastRefresh = this.fetchLabels();
    return this.lastRefresh;
  }

  /** Fetch and show masks, unless newer ones are requested meanwhile. */
  async fetchLabels() {
    const { frame, target: { revision } } = this;
    this.revision = revision;
    try {
      const labels = await this.app.frames.labels(frame);
      if (frame === this.frame && revision === this.revision) this.app.viewer.show(null, labels);
    } catch (error) {
      showError(error);
    }
  }

  /** @param {number} by */
  step(by) {
    return this.seek(this.target.frame + by);
  }

  /** Stop at the visible frame, because the user draws on it, unless the user waits for another one. */
  keepFrame() {
    if (this.isAwaited || !(this.currentRun || this.loading)) return;
    this.stop();
    this.target.frame = this.frame;
    this.loading?.abort();
  }

  stop() {
    this.setRun(null);
  }

  /** @param {object | null} run null: stop */
  setRun(run) {
    this.currentRun = run;
    setIcon(element('play'), run ? 'pause' : 'play');
    element('play').setAttribute('aria-label', run ? 'Stop' : 'Play');
  }

  /** Play, or stop. */
  async toggle() {
    const { app: { frames, tracking }, target } = this;
    const run = this.currentRun ? null : {};
    this.setRun(run);
    if (!run) return;
    tracking.isFollowing = false;
    if (target.frame >= this.count - 1) await this.goTo(0);
    let due = performance.now();
    while (this.currentRun === run && target.frame < this.count - 1) {
      await this.goTo(target.frame + 1);
      const end = Math.min(this.count, target.frame + PREFETCH_FRAMES);
      for (let ahead = target.frame + 1; ahead < end; ahead += 1) frames.image(ahead).catch(() => {});
      due = Math.max(performance.now() - 500, due + 1000 / this.rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.currentRun === run) this.stop();
  }
}
