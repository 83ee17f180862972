/** Current frame: seeking, playing, refreshing its masks; commands that wait for it. */

import { CoalescedTask, element, elements, formatCount, setIcon } from './dom.js';
import { fetchImage } from './frames.js';
import { showError, showMessage } from './messages.js';

/** @import { Stroke } from './tools.js' */

const NEAR_IMAGE_DELAY = 60; // milliseconds before a nearby frame is shown while the requested one is decoded
const STALE_DELAY = 1000; // milliseconds after which loading stops if the user has requested another frame
const PREFETCH_FRAMES = 6;

export class Playback {
  onLeave = () => {}; // called before another frame is loaded
  onShow = () => {}; // called after a frame was shown
  onCommand = () => {}; // called before a command is added
  onWait = () => {}; // called when other input waits than before
  isDrawing = () => false; // whether there is unfinished input, which keeps the page on the frame

  /** @param {import('./frames.js').FrameCache} frames @param {import('./project.js').Project} project
   * @param {import('./viewer.js').Viewer} viewer */
  constructor(frames, project, viewer) {
    this.frames = frames;
    this.project = project;
    this.viewer = viewer;
    /** Input, in order: what changes masks waits for the requested frame, and what comes later waits behind it.
     * `stroke`: to show while it waits. @type {{run: () => void, waitsForFrame: boolean, stroke?: Stroke}[]} */
    this.commands = [];
    this.count = 1;
    this.rate = 25;
    this.shown = { frame: 0, revision: 0 }; // frame that shows, and the revision of its masks
    this.wanted = { frame: 0, revision: 0 };
    /** `seek`: the requested frame does not show yet; `follow`: frames show as they are tracked. */
    this.mode = /** @type {'idle' | 'seek' | 'play' | 'follow'} */ ('seek');
    this.modeChanges = 0; // number of changes of the mode, by which playing notices that it was stopped
    this.loadTask = new CoalescedTask(() => this.loadWanted());
    this.abortStaleLoad = () => {}; // stops loading a frame that the user has left
    const field = element('frame');
    const seek = () => this.addCommand(() => this.seek(field.value === '' ? this.frame : Number(field.value)));
    field.onchange = seek;
    // the typed number may be the one that the field showed during tracking, which is no change
    field.onkeydown = (event) => { if (event.key === 'Enter') seek(); };
    field.onblur = () => { field.value = field.defaultValue; };
  }

  get frame() {
    return this.shown.frame;
  }

  /** Whether the current frame can be changed. */
  get isReady() {
    return this.mode !== 'seek' && this.viewer.image !== null;
  }

  /** Return whether the page may leave a frame by itself: the user is still on it, and not drawing. */
  mayLeave(/** @type {number} */ frame) {
    return frame === this.wanted.frame && !this.isDrawing();
  }

  setVideo(/** @type {import('./protocol.js').Description} */ { frames, rate, revision }) {
    this.count = frames;
    this.rate = rate;
    this.wanted.revision = revision;
    this.shown.revision = -1; // an earlier run of the program counted other revisions
    for (const field of elements('frame', 'first', 'last')) field.max = String(frames - 1);
  }

  /** Whether input has to wait: for the requested frame, or for earlier input that waits for it. */
  get isWaiting() {
    return this.commands.length > 0 || this.mode === 'seek';
  }

  /** Run a command after those before. @param {() => void} run @param {boolean} [waitsForFrame]
   * @param {Stroke} [stroke] */
  addCommand(run, waitsForFrame = false, stroke = undefined) {
    this.onCommand();
    this.commands.push({ run, waitsForFrame, stroke });
    this.runCommands();
  }

  /** Run the commands up to the first one that waits for its frame; drop that one if the frame cannot be loaded. */
  runCommands() {
    const { commands } = this;
    while (commands.length && (!commands[0].waitsForFrame || this.isReady)) commands.shift()?.run();
    if (commands.length && this.mode !== 'seek') {
      commands.length = 0;
      showMessage('This frame could not be loaded; nothing was changed.', true);
    }
    this.showWaiting();
  }

  /** Show how much input waits. */
  showWaiting() {
    const { commands: { length }, wanted: { frame } } = this;
    element('waiting').hidden = !length;
    if (length) element('waiting').textContent = `Loading frame ${frame}; ${formatCount(length, 'input')} after it…`;
    this.onWait();
  }

  /** Drop the input that waits. */
  dropCommands() {
    this.commands.length = 0;
    this.showWaiting();
  }

  /** Show a frame requested by the user, and stop playing and following the tracking. @param {number} frame */
  seek(frame) {
    this.setMode('seek');
    return this.goTo(frame);
  }

  /** Show a frame; of several requests in a row only the last counts. @param {number} frame */
  goTo(frame) {
    this.wanted.frame = Math.min(this.count - 1, Math.max(0, Math.round(frame) || 0));
    if (this.wanted.frame !== this.frame) this.onLeave();
    else this.abortStaleLoad();
    return this.loadTask.run();
  }

  /** Show masks of a revision, or later ones; resolve then, unless another frame loads. @param {number} revision */
  async refresh(revision) {
    this.wanted.revision = Math.max(this.wanted.revision, revision);
    const load = this.loadTask.run();
    if (this.wanted.frame === this.frame) await load;
  }

  /** Load what is requested; then run the commands that wait for it. */
  async loadWanted() {
    const { shown, viewer, wanted, wanted: { frame, revision } } = this;
    const load = new AbortController();
    this.abortStaleLoad = () => { if (frame !== wanted.frame) load.abort(); };
    const timer = setInterval(() => { if (this.mode === 'seek') this.abortStaleLoad(); }, STALE_DELAY);
    try {
      if (frame !== shown.frame || revision > shown.revision) await this.loadFrame(frame, revision, load.signal);
    } catch (error) {
      if (!load.signal.aborted) this.showFailure(error, frame, revision);
    }
    clearInterval(timer);
    viewer.placeholder = null;
    viewer.requestDraw();
    if (this.loadTask.isRequested) return;
    if (this.mode === 'seek') this.setMode('idle');
    this.runCommands();
  }

  /** Stay at the visible frame if another one cannot be loaded. */
  showFailure(/** @type {unknown} */ error, /** @type {number} */ frame, /** @type {number} */ revision) {
    showError(error);
    this.dropCommands();
    if (frame === this.frame) this.shown.revision = revision; // the next change tries again
    if (frame === this.wanted.frame) this.stopAtShownFrame();
  }

  /** Load and show a frame with masks. @param {number} frame @param {number} revision @param {AbortSignal} signal */
  async loadFrame(frame, revision, signal) {
    const { frames, viewer } = this;
    const abort = new Promise((_, reject) => { signal.onabort = reject; });
    const answer = Promise.all([frames.getImage(frame), frames.fetchLabels(frame, signal)]);
    let hasEnded = false;
    const showNearbyFrame = async () => {
      const near = hasEnded ? null : await fetchImage(`frame/${frame}?near=1`).catch(() => null);
      if (near && !hasEnded) viewer.placeholder = near;
      viewer.requestDraw();
    };
    if (this.mode === 'seek') setTimeout(showNearbyFrame, NEAR_IMAGE_DELAY);
    const [image, labels] = await Promise.race([answer, abort]).finally(() => { hasEnded = true; });
    this.shown = { frame, revision };
    viewer.show(image, labels);
    this.showPosition();
  }

  showPosition() {
    const field = element('frame');
    field.defaultValue = String(this.frame);
    if (document.activeElement !== field) field.value = field.defaultValue;
    const hundredths = Math.round((100 * this.frame) / this.rate);
    const time = `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, '0')}`;
    const [first, last] = this.project.editable_range;
    const isOutside = this.frame < first || this.frame > last;
    const note = isOutside ? ` · outside the tracked part (frames ${first} to ${last})` : '';
    element('time').textContent = `of ${this.count - 1} · ${time}${note}`;
    this.onShow();
  }

  /** Stop playing, following the tracking, and loading another frame. */
  stopAtShownFrame() {
    this.setMode('idle');
    this.wanted.frame = this.frame;
    this.abortStaleLoad();
    if (this.loadTask.currentRun) this.loadTask.run(); // the masks of this frame may have changed meanwhile
  }

  setMode(/** @type {Playback['mode']} */ mode) {
    const [icon, label] = mode === 'play' ? ['pause', 'Stop'] : ['play', 'Play'];
    setIcon(element('play'), icon);
    Object.assign(element('play'), { ariaLabel: label, title: `${label} (Space)` });
    this.mode = mode;
    this.modeChanges += 1;
  }

  async togglePlay() {
    const { frames, wanted } = this;
    this.setMode(this.mode === 'play' ? 'idle' : 'play');
    if (this.mode === 'idle') return;
    const start = this.modeChanges;
    if (wanted.frame >= this.count - 1) await this.goTo(0);
    let [due, prefetched] = [performance.now(), wanted.frame];
    while (this.modeChanges === start && wanted.frame < this.count - 1) {
      while (prefetched < Math.min(this.count - 1, wanted.frame + PREFETCH_FRAMES)) {
        prefetched += 1;
        Promise.all([frames.getImage(prefetched), frames.fetchLabels(prefetched)]).catch(() => {});
      }
      await this.goTo(wanted.frame + 1);
      due = Math.max(performance.now() - 500, due + 1000 / this.rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.modeChanges === start) this.setMode('idle');
  }
}
