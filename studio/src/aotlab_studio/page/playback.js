/** Current frame: seeking, playing, refreshing its masks. */

import { CoalescedTask, element, elements, setIcon, showError, showHint } from './dom.js';

const NEAR_IMAGE_DELAY = 60; // milliseconds before a nearby frame is shown while the requested one is decoded
const PREFETCH_FRAMES = 6;

export class Playback {
  constructor(/** @type {import('./main.js').App} */ app) {
    this.app = app;
    this.count = 1;
    this.rate = 25;
    this.frame = 0; // frame that shows
    this.revision = 0; // of its masks
    this.destination = { frame: 0, revision: 0 }; // requested frame and revision
    this.isFollowing = true; // whether frames show as they are tracked, until the user draws or goes to another one
    this.isUserWaiting = false; // whether the user waits for the requested frame; until it shows, nothing is changed
    this.loadTask = new CoalescedTask(() => this.loadDestination());
    this.playingRun = /** @type {object | null} */ (null); // loop that plays; null: stopped
    const field = element('frame');
    const seek = () => this.seek(field.value === '' ? this.frame : Number(field.value));
    field.onchange = seek;
    // the typed number may be the one that the field showed during tracking, which is no change
    field.onkeydown = (event) => { if (event.key === 'Enter') seek(); };
    field.onblur = () => this.showPosition();
  }

  /** Whether the current frame can be changed. */
  get isReady() {
    const { image, placeholder } = this.app.viewer;
    return !this.isUserWaiting && image !== null && !placeholder;
  }

  /** Whether an answer may show another frame: the user is still on this one, and not drawing. @param {number} frame */
  mayChangeFrame(frame) {
    return frame === this.destination.frame && !this.app.toolbox.isDrawing;
  }

  /** @param {import('./protocol.js').Description} description */
  setVideo({ frames, rate, revision }) {
    this.count = frames;
    this.rate = rate;
    this.destination.revision = revision;
    this.revision = -1; // it may be of an earlier run of the program
    this.app.timeline.draw();
    for (const field of elements('frame', 'first', 'last')) field.max = String(frames - 1);
  }

  /** Show a frame requested by the user, and stop playing and following the tracking. @param {number} frame */
  seek(frame) {
    this.stop();
    this.isUserWaiting = true;
    return this.goTo(frame);
  }

  /** Show a frame; of several requests in a row only the last counts. @param {number} frame */
  goTo(frame) {
    this.destination.frame = Math.min(this.count - 1, Math.max(0, Math.round(frame) || 0));
    if (this.destination.frame !== this.frame) this.app.toolbox.cancel();
    return this.loadTask.run();
  }

  /** Show masks of a revision, or later ones; resolve then, unless another frame loads. @param {number} revision */
  async refresh(revision) {
    this.destination.revision = Math.max(this.destination.revision, revision);
    const shown = this.loadTask.run();
    if (this.destination.frame === this.frame) await shown;
  }

  /** Load what is requested; then run the commands that wait for it. */
  async loadDestination() {
    const { app, destination, destination: { frame, revision } } = this;
    try {
      if (frame !== this.frame || revision > this.revision) await this.loadFrame(frame, revision);
    } catch (error) {
      showError(error);
      app.commands.drop();
      if (frame === this.frame) this.revision = revision; // the next change tries again
      if (frame === destination.frame) {
        this.isUserWaiting = false;
        this.cancelSeek();
      }
    }
    app.viewer.placeholder = null;
    app.viewer.draw();
    if (this.loadTask.isRequested) return;
    this.isUserWaiting = false;
    app.commands.runReady();
  }

  /** Load and show a frame with masks. @param {number} frame @param {number} revision */
  async loadFrame(frame, revision) {
    const { frames, viewer } = this.app;
    const answer = Promise.all([frames.getImage(frame), frames.fetchLabels(frame)]);
    let hasArrived = false;
    const showNear = async () => {
      const near = hasArrived ? null : await frames.fetchNearImage(frame).catch(() => null);
      if (near && !hasArrived) viewer.placeholder = near;
      viewer.draw();
    };
    if (this.isUserWaiting || !viewer.image) setTimeout(showNear, NEAR_IMAGE_DELAY);
    const [image, labels] = await answer.finally(() => { hasArrived = true; });
    if (frame !== this.frame && this.destination.frame === this.frame) return; // the user stays where they are
    this.frame = frame;
    this.revision = revision;
    viewer.show(image, labels);
    this.app.toolbox.show();
    this.showPosition();
  }

  showPosition() {
    const field = element('frame');
    field.defaultValue = String(this.frame);
    if (document.activeElement !== field) field.value = field.defaultValue;
    const hundredths = Math.round((100 * this.frame) / this.rate);
    const time = `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, '0')}`;
    const [first, last] = this.app.state.editable_range;
    const isOutside = this.frame < first || this.frame > last;
    const note = isOutside ? ` · outside the tracked part (frames ${first} to ${last})` : '';
    element('time').textContent = `of ${this.count - 1} · ${time}${note}`;
    this.app.timeline.showFrame();
    this.app.review.showFrame();
  }

  async step(/** @type {number} */ by) {
    await this.seek(this.destination.frame + by);
    showHint(this.app.timeline.frameDescription);
  }

  /** Stay at the visible frame, unless the user waits for another one: stop playing, and drop the one that loads. */
  cancelSeek() {
    if (this.isUserWaiting) return;
    this.stop();
    this.destination.frame = this.frame;
    if (this.loadTask.currentRun) this.loadTask.run(); // the masks of this frame may have changed meanwhile
  }

  /** Stop playing, and following the tracking. */
  stop() {
    this.isFollowing = false;
    this.setRun(null);
  }

  /** @param {object | null} run null: stop */
  setRun(run) {
    this.playingRun = run;
    setIcon(element('play'), run ? 'pause' : 'play');
    element('play').setAttribute('aria-label', run ? 'Stop' : 'Play');
  }

  async togglePlay() {
    const { app: { frames }, destination } = this;
    const run = this.playingRun ? null : {};
    this.setRun(run);
    if (!run) return;
    this.isFollowing = this.isUserWaiting = false;
    if (destination.frame >= this.count - 1) await this.goTo(0);
    let [due, prefetched] = [performance.now(), destination.frame];
    while (this.playingRun === run && destination.frame < this.count - 1) {
      while (prefetched < Math.min(this.count - 1, destination.frame + PREFETCH_FRAMES)) {
        prefetched += 1;
        Promise.all([frames.getImage(prefetched), frames.fetchLabels(prefetched)]).catch(() => {});
      }
      await this.goTo(destination.frame + 1);
      due = Math.max(performance.now() - 500, due + 1000 / this.rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.playingRun === run) this.stop();
  }
}
