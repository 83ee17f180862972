/** Current frame: seeking, playing, refreshing its masks; commands that wait for it. */

import { CoalescedTask, element, elements, formatCount, setIcon } from './dom.js';
import { fetchImage, frames } from './frames.js';
import { showError, showMessage } from './messages.js';
import { state, update } from './store.js';

const NEAR_IMAGE_DELAY = 60; // milliseconds before a nearby frame is shown while the requested one is decoded
const STALE_DELAY = 1000; // milliseconds after which loading stops if the user has requested another frame
const PREFETCH_FRAMES = 6;

class Playback {
  constructor() {
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
    return state.shown.frame;
  }

  /** Whether the current frame can be changed. */
  get isReady() {
    return state.mode !== 'seek' && state.shown.image !== null;
  }

  /** Return whether the page may leave a frame by itself: the user is still on it, and not drawing. */
  mayLeave(/** @type {number} */ frame) {
    const isDrawing = this.hasInput || [...state.unanswered].some((input) => input.frame === this.frame);
    return frame === state.wanted.frame && !isDrawing;
  }

  /** Whether there is unfinished input. */
  get hasInput() {
    return state.held !== null || state.stroke.points.length > 0;
  }

  setVideo(/** @type {import('./protocol.js').Description} */ { frames: count, rate, revision }) {
    state.wanted.revision = revision;
    state.shown.revision = -1; // an earlier run of the program counted other revisions
    update({ count, rate });
    for (const field of elements('frame', 'first', 'last')) field.max = String(count - 1);
  }

  /** Whether input has to wait: for the requested frame, or for earlier input that waits for it. */
  get isWaiting() {
    return state.commands.length > 0 || state.mode === 'seek';
  }

  /** Run a command after those before; a held drag ends. @param {() => void} run @param {boolean} [waitsForFrame] */
  addCommand(run, waitsForFrame = false) {
    this.releaseHeld();
    state.commands.push({ run, waitsForFrame });
    this.runCommands();
  }

  /** End a held drag: it is drawn once its frame shows, after the input before it. */
  releaseHeld() {
    const { commands, held } = state;
    if (!held) return;
    commands.push({ run: held.draw, waitsForFrame: true, stroke: held.stroke });
    update({ held: null });
    this.runCommands();
  }

  /** Run the commands up to the first one that waits for its frame; drop that one if the frame cannot be loaded. */
  runCommands() {
    const { commands } = state;
    while (commands.length && (!commands[0].waitsForFrame || this.isReady)) commands.shift()?.run();
    if (commands.length && state.mode !== 'seek') {
      commands.length = 0;
      showMessage('This frame could not be loaded; nothing was changed.', true);
    }
    this.showWaiting();
  }

  /** Show how much input waits. */
  showWaiting() {
    const { commands, commands: { length }, wanted: { frame } } = state;
    element('waiting').hidden = !length;
    if (length) element('waiting').textContent = `Loading frame ${frame}; ${formatCount(length, 'action')} waiting`;
    update({ commands });
  }

  /** Drop the input that waits. */
  dropCommands() {
    state.commands.length = 0;
    this.showWaiting();
  }

  /** Show a frame requested by the user, and stop playing and following the tracking. @param {number} frame */
  seek(frame) {
    this.setMode('seek');
    return this.goTo(frame);
  }

  /** Show a frame; of several requests in a row only the last counts. @param {number} frame */
  goTo(frame) {
    const { count, wanted } = state;
    wanted.frame = Math.min(count - 1, Math.max(0, Math.round(frame) || 0));
    if (wanted.frame !== this.frame) update({ wanted });
    else this.abortStaleLoad();
    return this.loadTask.run();
  }

  /** Show masks of a revision, or later ones; resolve then, unless another frame loads. @param {number} revision */
  async refresh(revision) {
    const { wanted } = state;
    wanted.revision = Math.max(wanted.revision, revision);
    const load = this.loadTask.run();
    if (wanted.frame === this.frame) await load;
  }

  /** Load what is requested; then run the commands that wait for it. */
  async loadWanted() {
    const { shown, wanted, wanted: { frame, revision } } = state;
    const load = new AbortController();
    this.abortStaleLoad = () => { if (frame !== wanted.frame) load.abort(); };
    const timer = setInterval(() => { if (state.mode === 'seek') this.abortStaleLoad(); }, STALE_DELAY);
    try {
      if (frame !== shown.frame || revision > shown.revision) await this.loadFrame(frame, revision, load.signal);
    } catch (error) {
      if (!load.signal.aborted) this.showFailure(error, frame, revision);
    }
    clearInterval(timer);
    update({ placeholder: null });
    if (this.loadTask.isRequested) return;
    if (state.mode === 'seek') this.setMode('idle');
    this.runCommands();
  }

  /** Stay at the visible frame if another one cannot be loaded. */
  showFailure(/** @type {unknown} */ error, /** @type {number} */ frame, /** @type {number} */ revision) {
    showError(error);
    this.dropCommands();
    if (frame === this.frame) state.shown.revision = revision; // the next change tries again
    if (frame === state.wanted.frame) this.stopAtShownFrame();
  }

  /** Load and show a frame with masks. @param {number} frame @param {number} revision @param {AbortSignal} signal */
  async loadFrame(frame, revision, signal) {
    const abort = new Promise((_, reject) => { signal.onabort = reject; });
    const answer = Promise.all([frames.getImage(frame), frames.fetchLabels(frame, signal)]);
    let hasEnded = false;
    const showNearbyFrame = async () => {
      const near = hasEnded ? null : await fetchImage(`frame/${frame}?near=1`).catch(() => null);
      if (near && !hasEnded) update({ placeholder: near });
    };
    if (state.mode === 'seek') setTimeout(showNearbyFrame, NEAR_IMAGE_DELAY);
    const [image, labels] = await Promise.race([answer, abort]).finally(() => { hasEnded = true; });
    const field = element('frame');
    field.defaultValue = String(frame);
    if (document.activeElement !== field) field.value = field.defaultValue;
    const hundredths = Math.round((100 * frame) / state.rate);
    const time = `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, '0')}`;
    const [first, last] = state.project.editable_range;
    const isOutside = frame < first || frame > last;
    const note = isOutside ? ` · outside the tracked part (frames ${first} to ${last})` : '';
    element('time').textContent = `of ${state.count - 1} · ${time}${note}`;
    update({ shown: { frame, revision, image, labels } });
  }

  /** Stop playing, following the tracking, and loading another frame. */
  stopAtShownFrame() {
    this.setMode('idle');
    state.wanted.frame = this.frame;
    this.abortStaleLoad();
    if (this.loadTask.currentRun) this.loadTask.run(); // the masks of this frame may have changed meanwhile
  }

  setMode(/** @type {typeof state['mode']} */ mode) {
    const [icon, label] = mode === 'play' ? ['pause', 'Stop'] : ['play', 'Play'];
    setIcon(element('play'), icon);
    Object.assign(element('play'), { ariaLabel: label, title: `${label} (Space)` });
    update({ mode });
    this.modeChanges += 1;
  }

  async togglePlay() {
    const { count, rate, wanted } = state;
    this.setMode(state.mode === 'play' ? 'idle' : 'play');
    if (state.mode === 'idle') return;
    const start = this.modeChanges;
    if (wanted.frame >= count - 1) await this.goTo(0);
    let [due, prefetched] = [performance.now(), wanted.frame];
    while (this.modeChanges === start && wanted.frame < count - 1) {
      while (prefetched < Math.min(count - 1, wanted.frame + PREFETCH_FRAMES)) {
        prefetched += 1;
        Promise.all([frames.getImage(prefetched), frames.fetchLabels(prefetched)]).catch(() => {});
      }
      await this.goTo(wanted.frame + 1);
      due = Math.max(performance.now() - 500, due + 1000 / rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.modeChanges === start) this.setMode('idle');
  }
}

export const playback = new Playback();
