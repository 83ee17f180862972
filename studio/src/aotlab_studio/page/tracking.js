/** Tracking: buttons, range, progress, model. */

import { element, elements, formatCount, readNumber, setIcon, setLabel, showMessage, showToast } from './dom.js';

/** @typedef {import('./protocol.js').JobProgress} JobProgress */

export class Tracking {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {JobProgress | null} */
    this.job = null;
    /** Whether the frames of the run show as they are tracked, until the user goes to another one. */
    this.isFollowing = true;
    /** Name of the selected model. */
    this.model = '';
    for (const field of elements('first', 'last')) field.onchange = () => this.sendRange();
  }

  /** Show the range to track in its fields; empty: to the start or end. @param {number} first @param {number} last */
  setRange(first, last) {
    const texts = { first: first ? String(first) : '', last: last < this.app.playback.count - 1 ? String(last) : '' };
    for (const field of elements('first', 'last')) {
      if (document.activeElement !== field) field.value = texts[/** @type {'first' | 'last'} */ (field.id)]; // not while it is being typed
    }
    this.app.timeline.draw();
  }

  /** Show the stored range. */
  showRange() {
    const { document: { range }, timeline } = this.app;
    if (timeline.handleIndex < 0) this.setRange(...(range ?? [0, Infinity])); // a dragged one will be stored
  }

  /** Return the range of the fields; undefined if it is impossible, which the header says. */
  readRange() {
    const [first, last] = [readNumber('first'), readNumber('last')];
    const isValid = elements('first', 'last').every((field) => field.checkValidity());
    if (isValid && (first ?? 0) <= (last ?? Infinity)) return { first, last };
    showMessage(`“From” and “To” must be frames from 0 to ${this.app.playback.count - 1}, and “From” must not be after “To”.`, true);
    return undefined;
  }

  /** Store the range of the fields; if it is refused, show the stored one. */
  async sendRange() {
    const range = this.readRange();
    if (range && (await this.app.queue.push('set_range', range)).error) this.showRange();
  }

  /** @param {string[]} names @param {string} model */
  setModels(names, model) {
    const list = element('model');
    list.replaceChildren(...names.map((name) => new Option(name === 'bundled' ? 'the bundled model' : name, name)));
    list.onchange = async () => {
      if ((await this.app.queue.after('set_model', { name: list.value })).error) this.setModel(this.model);
    };
    element('settings').hidden = !names.length;
    this.setModel(model);
  }

  /** @param {string} name */
  setModel(name) {
    this.model = name;
    element('model').value = name;
  }

  /** @param {JobProgress | null} job null: none runs */
  setJob(job) {
    const isRunning = Boolean(job && ['starting', 'running', 'paused'].includes(job.status));
    element('job').hidden = !isRunning;
    for (const button of elements('track', 'backward', 'both')) button.disabled = isRunning;
    if (job && isRunning) {
      if (!this.job) this.isFollowing = true;
      this.showProgress(job);
      if (job.done) this.app.review.refreshLive();
      if (this.isFollowing && !this.app.toolbox.isDrawing && job.status === 'running' && job.done) this.app.playback.goTo(job.frame);
    } else if (this.job && job) {
      const lost = job.lost_pixels ? `; it took ${formatCount(job.lost_pixels, 'pixel')} from other objects` : '';
      if (job.problem) showMessage(job.problem, true);
      else showToast(`Tracking ${job.status}: ${formatCount(job.done, 'frame')}${lost}`);
      this.app.review.refresh();
    }
    this.job = isRunning ? job : null;
  }

  /** Show the tracking of a correction, which disables nothing. @param {JobProgress | null} job null: none runs */
  setCorrection(job) {
    const isRunning = Boolean(job && ['starting', 'running'].includes(job.status));
    let text = '';
    if (job && isRunning) text = job.status === 'starting' ? 'loading the model…' : `${job.done} of ${job.total} frames`;
    element('correction').textContent = text && `Correction: ${text}`;
    if (job?.problem) showMessage(job.problem, true);
    if (!isRunning && job?.done) this.app.review.refresh();
    if (job?.status === 'done' && job.lost_pixels) showToast(`The correction took ${formatCount(job.lost_pixels, 'pixel')} from other objects`);
  }

  /** @param {JobProgress} job */
  showProgress(job) {
    if (job.total) element('progress').value = job.done / job.total;
    else element('progress').removeAttribute('value');
    const timeLeft = job.remaining === null ? '' : `, ${formatDuration(job.remaining)} left`;
    const speed = job.speed ? `, ${job.speed.toFixed(1)} frames/s${timeLeft}` : '';
    const count = `${job.done}${job.total ? ` of ${job.total}` : ' frames'}`;
    element('job-text').textContent = job.status === 'starting' ? 'Loading the model…' : `${job.status} · ${count}${speed}`;
    setLabel(element('pause'), job.status === 'paused' ? 'Resume' : 'Pause');
    setIcon(element('pause'), job.status === 'paused' ? 'play' : 'pause');
  }

  /** @param {import('./protocol.js').Actions['track']['message']['direction']} direction */
  async track(direction) {
    await this.app.queue.lastEdit; // may select the object
    const range = this.readRange();
    if (!range) return;
    const { playback } = this.app;
    playback.stop();
    this.app.toolbox.cancel();
    const message = { frame: playback.frame, direction, ...range };
    if (!(await this.app.queue.after('track', message)).error) showMessage('');
  }

  /** Remove the tracked masks from this frame on. */
  async clear() {
    const { playback: { frame }, history, queue } = this.app;
    const range = this.readRange();
    if (!range) return;
    const answer = await queue.after('drop_results', { frame, last: range.last });
    if (answer.error) return;
    if (answer.result) history.offerUndo(answer, `Tracking cleared on ${formatCount(answer.result, 'frame')}`);
    else showMessage('No tracked masks from this frame on.');
    this.app.review.refresh();
  }

  stop() {
    if (this.job) this.app.request('stop', {});
  }

  pause() {
    if (this.job) this.app.queue.after(this.job.status === 'paused' ? 'resume' : 'pause', {});
  }
}

/** Format a duration. @param {number} seconds */
export function formatDuration(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
