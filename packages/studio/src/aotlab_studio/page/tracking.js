/** Tracking: buttons, range, progress. */

import { element, elements, formatCount, formatDuration, setIcon, setLabel } from './dom.js';
import { readNumber } from './fields.js';
import { editHistory } from './history.js';
import { toolbox } from './input.js';
import { CANCELED, showError, showHint, showMessage, showToast } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe } from './store.js';

/** @typedef {import('./protocol.js').JobProgress} JobProgress */

class Tracking {
  constructor() {
    this.isStopped = false; // before its job has started
    element('stop').onclick = () => this.stop();
    subscribe(['job'], () => this.showJob());
  }

  /** Job that the user started and that has not ended. */
  get job() {
    const { job } = state;
    return job && isRunning(job) ? job : null;
  }

  /** Return the range of the fields; undefined: it is invalid, and the error is shown. */
  readRange() {
    const [first, last] = [readNumber('first'), readNumber('last')];
    const isValid = elements('first', 'last').every((field) => field.checkValidity());
    if (isValid && (first ?? 0) <= (last ?? Infinity)) return { first, last };
    const end = state.count - 1;
    showMessage(`“From” and “To” must be frames from 0 to ${end}, and “From” must not be after “To”.`, true);
    return undefined;
  }

  /** Show the job that runs or has ended. */
  showJob() {
    const { job } = state;
    element('job').hidden = !this.job;
    for (const button of elements('track', 'backward', 'both')) button.disabled = Boolean(this.job);
    if (this.job) this.showProgress(this.job);
    else if (job) this.showEnd(job);
    // the frame that was tracked last, unless the user has left this tracking
    if (this.job?.status === 'running' && this.job.done && state.mode === 'follow') playback.goTo(this.job.frame);
  }

  showEnd(/** @type {JobProgress} */ { done, problem, status }) {
    if (state.mode === 'follow') playback.setMode('idle');
    if (problem) showMessage(problem, true);
    else showHint(`Tracking ${status}: ${formatCount(done, 'frame')}`);
  }

  showProgress(/** @type {JobProgress} */ job) {
    if (job.total) element('progress').value = job.done / job.total;
    else element('progress').removeAttribute('value');
    const timeLeft = job.remaining === null ? '' : `, ${formatDuration(job.remaining)} left`;
    const speed = job.speed ? `, ${job.speed.toFixed(1)} frames/s${timeLeft}` : '';
    const count = `${job.done}${job.total ? ` of ${job.total}` : ' frames'}`;
    const states = { starting: 'Loading the model…', pausing: `pausing after this frame · ${count}` };
    element('job-text').textContent = /** @type {Record<string, string>} */ (states)[job.status]
      ?? `${job.status} · ${count}${speed}`;
    setLabel(element('pause'), isPaused(job) ? 'Resume' : 'Pause');
    setIcon(element('pause'), isPaused(job) ? 'play' : 'pause');
  }

  async track(/** @type {import('./protocol.js').Actions['track']['message']['direction']} */ direction) {
    playback.stopAtShownFrame();
    toolbox.finish(); // the page shows the frames that are tracked
    playback.setMode('follow');
    const { frame } = playback;
    this.isStopped = false;
    const { error } = await queue.runInOrder({ action: 'track' }, async () => {
      const range = this.readRange(); // earlier edits may change it
      const isOnlySelected = element('only-selected').checked;
      if (isOnlySelected && !selection.id) return showError(new Error('Select an object first.'));
      const object = isOnlySelected ? { object_id: selection.id } : {};
      if (!range || this.isStopped) return { error: CANCELED };
      const answer = await queue.send('track', { frame, direction, ...range, ...object });
      if (this.isStopped && !answer.error) queue.send('stop', {});
      return answer;
    });
    if (!error) showHint('');
    else if (state.mode === 'follow') playback.setMode('idle');
  }

  async clearResults() {
    const { frame } = playback;
    const range = this.readRange();
    if (!range) return;
    editHistory.offerUndo(await queue.edit('clear_tracking', { frame, last: range.last }), 'Tracking cleared');
  }

  /** Offer to resume tracking that was interrupted. @param {import('./protocol.js').CutOff} cutOff */
  offerToContinue({ frames, ...request }) {
    showToast(`Tracking was interrupted; ${formatCount(frames, 'frame')} left`, {
      'Resume tracking': () => queue.send('track', /** @type {any} */ (request)),
    });
  }

  stop() {
    if (this.job) queue.send('stop', {});
    else this.isStopped = true;
  }

  togglePause() {
    if (this.job) queue.send(isPaused(this.job) ? 'resume' : 'pause', {});
  }
}

const isRunning = (/** @type {JobProgress} */ { status }) => (
  ['starting', 'running', 'pausing', 'paused'].includes(status));
const isPaused = (/** @type {JobProgress} */ { status }) => ['pausing', 'paused'].includes(status);

export const tracking = new Tracking();
