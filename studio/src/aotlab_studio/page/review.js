/** Review: frames to check, ranked. */

import { CoalescedTask, createElement, element, formatCount, formatFrames, setLabel } from './dom.js';
import { RowList } from './fields.js';
import { showError, showHint, showMessage, showToast } from './messages.js';
import { isDrawn } from './timeline.js';

/** @import { FrameToCheck } from './protocol.js' */

const MAX_LISTED = 50; // largest number of listed frames
const LIVE_PAUSE = 5000; // milliseconds between two refreshes while a job runs

export class Review {
  /** @param {Pick<import('./main.js').App, 'connection' | 'frames' | 'history' | 'playback' | 'project' | 'queue'
   *   | 'selection' | 'timeline'>} app */
  constructor(app) {
    this.app = app;
    this.entries = /** @type {FrameToCheck[]} */ ([]); // frames to check, the worst first, then corrected ones
    this.lastVisitedFrame = -1;
    this.nextRefreshTime = 0; // time of the next live refresh, as `performance.now`
    this.fetchTask = new CoalescedTask(() => this.fetch().catch(showError));
    /** @type {RowList<FrameToCheck>} */
    this.list = new RowList(element('review'), ({ frame }) => frame, (entry) => this.createRow(entry));
  }

  /** Show whether the frame is checked or frozen. */
  showFrame() {
    const { project: { checked, frozen }, playback: { frame } } = this.app;
    element('checked').ariaPressed = String(checked.includes(frame));
    element('frozen').ariaPressed = String(frozen.includes(frame));
  }

  /** Refresh while a job runs, but not too often. */
  refreshLive() {
    if (!this.fetchTask.currentRun && performance.now() > this.nextRefreshTime) this.fetchTask.run();
  }

  async fetch() {
    const { result: entries } = await this.app.connection.call('list_frames_to_check', {});
    this.nextRefreshTime = performance.now() + LIVE_PAUSE;
    const frames = entries.map(({ frame }) => frame);
    const corrected = this.entries.filter((entry) => this.isCorrected(entry) && !frames.includes(entry.frame));
    this.entries = [...entries, ...corrected];
    this.show();
  }

  show() {
    const { app: { timeline }, remainingEntries } = this;
    timeline.framesToCheck = remainingEntries.map(({ frame }) => frame);
    timeline.requestDraw();
    element('review-summary').textContent = this.summary;
    this.list.show(this.uncheckedEntries.slice(0, MAX_LISTED));
    setLabel(element('next-check'), `Next frame to check (${remainingEntries.length})`);
  }

  /** @param {FrameToCheck} entry @returns {{line: HTMLElement, show: (entry: FrameToCheck) => void}} */
  createRow({ frame }) {
    const { app } = this;
    const image = createElement('img', { loading: 'lazy', alt: '' });
    const [dot, text] = [createElement('span', { className: 'dot' }), createElement('span', {})];
    const button = createElement('button', { name: `check${frame}` }, image, dot, text);
    const show = (/** @type {FrameToCheck} */ entry) => {
      const [isCorrected, address] = [this.isCorrected(entry), app.frames.getThumbnailAddress(frame)];
      button.onclick = () => app.playback.addCommand(() => this.goTo(entry));
      button.className = isCorrected ? 'done' : '';
      dot.textContent = isCorrected ? '✓' : '';
      dot.style.background = (!isCorrected && app.project.findObject(entry.object_ids[0])?.color) || 'none';
      text.textContent = `${frame}: ${isCorrected ? 'corrected' : entry.sentence}`;
      if (image.getAttribute('src') !== address) image.src = address;
    };
    return { line: createElement('li', {}, button), show };
  }

  /** Entries of frames that are not marked as checked since. */
  get uncheckedEntries() {
    return this.entries.filter(({ frame }) => !this.app.project.checked.includes(frame));
  }

  get remainingEntries() {
    return this.uncheckedEntries.filter((entry) => !this.isCorrected(entry));
  }

  get summary() {
    const { remainingEntries: { length }, app: { timeline } } = this;
    if (length) return `${formatCount(length, 'frame')} left to check, worst first.`;
    const next = element('done').hidden ? '' : ' Mark the clip as done (Shift+Q).';
    return timeline.hasTracked ? `No frames left to check.${next}`
      : 'Nothing is tracked yet. After tracking, frames with doubtful masks are listed here, worst first.';
  }

  /** Return whether masks of all doubtful objects are drawn. @param {FrameToCheck} entry */
  isCorrected({ frame, object_ids: ids }) {
    return ids.every((id) => isDrawn(this.app.timeline.marks.get(id)?.[frame]));
  }

  /** Show a changed frame in the list, with its masks and whether it is corrected. @param {number} frame */
  refreshFrame(frame) {
    if (!this.entries.some((entry) => entry.frame === frame)) return;
    if (this.fetchTask.currentRun) this.fetchTask.run(); // the answer may be older than this change
    this.show();
  }

  showNext() {
    const start = this.entries.findIndex(({ frame }) => frame === this.lastVisitedFrame) + 1;
    const { remainingEntries } = this;
    const entry = [...this.entries.slice(start), ...this.entries].find((each) => remainingEntries.includes(each));
    if (entry) this.goTo(entry);
    else showMessage(this.summary);
  }

  goTo(/** @type {FrameToCheck} */ { frame, object_ids: [worst], sentence }) {
    this.lastVisitedFrame = frame;
    this.app.selection.selectByUser(worst);
    showHint(`Frame ${frame}: ${sentence}. Correct it, or go to the next frame to check.`);
    return this.app.playback.seek(frame);
  }

  /** Freeze this frame, or end that. */
  async toggleFrozen() {
    const { playback: { frame }, queue, history, project } = this.app;
    const frozen = !project.frozen.includes(frame);
    const answer = await queue.edit('set_frozen', { frame, frozen });
    history.offerUndo(answer, `Frame ${frame} ${frozen ? 'frozen' : 'no longer frozen; its masks stay drawn'}`);
  }

  /** Tell that a step has changed checked frames. @param {{frames: number[], step: number}} event */
  reportUnchecked({ frames, step }) {
    const { history, playback, project } = this.app;
    const isLast = step === project.step && history.canUndo;
    const text = `${formatCount(frames.length, 'checked frame')} changed and no longer marked as checked: `;
    showToast(text + formatFrames(frames), {
      ...(isLast && { Undo: () => history.undo(step) }),
      [`Frame ${frames[0]}`]: () => playback.addCommand(() => playback.seek(frames[0])),
    }, isLast ? step : 0);
  }

  /** Mark this frame as checked, and go to the next one to check; remove the mark if it shows. */
  async toggleChecked() {
    const { playback, playback: { frame }, queue, history, project } = this.app;
    const checked = !project.checked.includes(frame);
    const answer = await queue.edit('set_checked', { frame, checked });
    if (answer.error) return;
    history.offerUndo(answer, `Frame ${frame} ${checked ? '' : 'no longer '}marked as checked`);
    if (!checked || !playback.mayLeave(frame)) return;
    if (this.remainingEntries.length) this.showNext();
    else showHint(this.summary);
  }
}
