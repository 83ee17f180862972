/** Review: frames to check, ranked. */

import { connection, fetchOrThrow } from './connection.js';
import { CoalescedTask, createElement, element, formatCount, setLabel } from './dom.js';
import { RowList } from './fields.js';
import { frames } from './frames.js';
import { editHistory } from './history.js';
import { toolbox } from './input.js';
import { showError, showHint, showMessage, showToast } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { state, subscribe, update } from './store.js';
import { findRemainingChecks, hasTracked, isCorrected } from './timeline.js';
import { tracking } from './tracking.js';

/** @import { FrameToCheck } from './protocol.js' */

const MAX_LISTED = 50; // largest number of listed frames
const LIVE_PAUSE = 5000; // milliseconds between two refreshes while a job runs

class Review {
  constructor() {
    this.lastVisitedFrame = -1;
    this.nextRefreshTime = 0; // time of the next live refresh, as `performance.now`
    this.fetchTask = new CoalescedTask(() => this.fetch().catch(showError));
    /** @type {RowList<FrameToCheck>} */
    this.list = new RowList(element('review'), ({ frame }) => frame, (entry) => this.createRow(entry));
    subscribe(['project', 'shown'], () => this.showFrame());
    subscribe(['project', 'checks'], () => this.show());
    subscribe(['job'], () => { if (tracking.job?.done) this.refreshLive(); });
  }

  /** Show whether the frame is checked. */
  showFrame() {
    const { project: { checked, done }, shown: { frame } } = state;
    element('done').ariaPressed = String(done);
    element('checked').ariaPressed = String(checked.includes(frame));
  }

  /** Refresh while a job runs, but not too often. */
  refreshLive() {
    if (!this.fetchTask.currentRun && performance.now() > this.nextRefreshTime) this.fetchTask.run();
  }

  async fetch() {
    const { result: entries } = await connection.call('list_frames_to_check', {});
    this.nextRefreshTime = performance.now() + LIVE_PAUSE;
    const listed = entries.map(({ frame }) => frame);
    const corrected = state.checks.filter((entry) => isCorrected(entry) && !listed.includes(entry.frame));
    update({ checks: [...entries, ...corrected] });
  }

  show() {
    element('review-summary').textContent = this.summary;
    const { checks, project: { checked } } = state;
    this.list.show(checks.filter(({ frame }) => !checked.includes(frame)).slice(0, MAX_LISTED));
    setLabel(element('next-check'), `Next problem (${findRemainingChecks().length})`);
  }

  /** @param {FrameToCheck} entry @returns {{line: HTMLElement, show: (entry: FrameToCheck) => void}} */
  createRow({ frame }) {
    const image = createElement('img', { loading: 'lazy', alt: '' });
    const [dot, text] = [createElement('span', { className: 'dot' }), createElement('span', {})];
    const button = createElement('button', { name: `check${frame}` }, image, dot, text);
    const show = (/** @type {FrameToCheck} */ entry) => {
      const [isDone, address] = [isCorrected(entry), frames.getThumbnailAddress(frame)];
      button.onclick = () => playback.addCommand(() => this.goTo(entry));
      button.className = isDone ? 'done' : '';
      dot.textContent = isDone ? '✓' : '';
      dot.style.background = (!isDone && state.project.findObject(entry.object_ids[0])?.color) || 'none';
      text.textContent = `${frame}: ${isDone ? 'corrected' : entry.sentence}`;
      if (image.getAttribute('src') !== address) image.src = address;
    };
    return { line: createElement('li', {}, button), show };
  }

  get summary() {
    const { length } = findRemainingChecks();
    if (length) return `${formatCount(length, 'frame')} left to check, worst first.`;
    const next = element('done').hidden ? '' : ' Mark the clip as done (Shift+Q).';
    return hasTracked() ? `No frames left to check.${next}`
      : 'Frames that need a look will appear here after tracking, worst first.';
  }

  /** Show a changed frame in the list, with its masks and whether it is corrected. @param {number} frame */
  refreshFrame(frame) {
    if (!state.checks.some((entry) => entry.frame === frame)) return;
    if (this.fetchTask.currentRun) this.fetchTask.run(); // the answer may be older than this change
    this.show();
  }

  /** Go to the next frame to check, or to the worst one. @param {boolean} [isWorst] */
  showNext(isWorst = false) {
    const { checks } = state;
    const start = isWorst ? 0 : checks.findIndex(({ frame }) => frame === this.lastVisitedFrame) + 1;
    const remaining = findRemainingChecks();
    const entry = [...checks.slice(start), ...checks].find((each) => remaining.includes(each));
    if (entry) this.goTo(entry);
    else showMessage(this.summary);
  }

  goTo(/** @type {FrameToCheck} */ { frame, object_ids: [worst], sentence }) {
    this.lastVisitedFrame = frame;
    toolbox.select(worst);
    showHint(`Frame ${frame}: ${sentence}. Correct it, or go to the next problem.`);
    return playback.seek(frame);
  }

  /** Mark this frame as checked, and go to the next one to check; remove the mark if it shows. */
  async toggleChecked() {
    const { frame } = playback;
    const checked = !state.project.checked.includes(frame);
    const answer = await queue.edit('set_checked', { frame, checked });
    if (answer.error) return;
    editHistory.offerUndo(answer, `Frame ${frame} ${checked ? '' : 'no longer '}marked as checked`);
    if (!checked || !playback.mayLeave(frame)) return;
    if (findRemainingChecks().length) this.showNext();
    else showHint(this.summary);
  }

  /** Mark the clip as done, and offer the next one; or mark it as not done. */
  async toggleDone() {
    const done = !state.project.done;
    if (element('done').hidden || (await queue.edit('set_done', { done })).error || !done) return;
    showToast('Marked as done', { 'Next clip': () => this.openNextClip() });
  }

  /** Open the next clip of the list that is not done. */
  async openNextClip() {
    if (element('clips').hidden) return;
    const answer = await fetchOrThrow('../../clips').catch(showError);
    if ('error' in answer) return;
    const clips = /** @type {import('./protocol.js').Clip[]} */ (await answer.json());
    const [current] = location.pathname.split('/').slice(-2);
    const isCurrent = (/** @type {{name: string}} */ { name }) => encodeURIComponent(name) === current;
    const next = [...clips.slice(clips.findIndex(isCurrent) + 1), ...clips].find((clip) => (
      clip.status !== 'done' && !clip.unreadable && !isCurrent(clip)));
    if (next) location.assign(`../${encodeURIComponent(next.name)}/`);
    else showMessage('All other clips are done.');
  }
}

export const review = new Review();
