// @ts-check
/** Tracking: buttons, progress, model settings; frames to check, ranked. */

import { countText, element, elements, createElement, readNumber, RowList, setIcon, setLabel, toast } from './dom.js';
import { TextField } from './fields.js';

/** @typedef {import('./protocol.js').JobProgress} JobProgress */

export class Tracking {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {JobProgress | null} */
    this.job = null;
    /** Whether the frames of the run show as they are tracked, until the person goes to another one. */
    this.isFollowing = true;
    /** Stored range to track; null: all. @type {[number, number] | null} */
    this.range = null;
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

  /** Show the stored range. @param {[number, number] | null} range null: all */
  showRange(range) {
    this.range = range;
    if (this.app.timeline.handle < 0) this.setRange(...(range ?? [0, Infinity])); // a dragged one will be stored
  }

  /** Store the range of the fields; if it is refused, show the stored one. */
  async sendRange() {
    const { app } = this;
    const isValid = elements('first', 'last').every((field) => field.checkValidity());
    if (!isValid) app.showMessage(`From and To are frames from 0 to ${app.playback.count - 1}.`, true);
    const range = { first: readNumber('first') ?? null, last: readNumber('last') ?? null };
    if (!isValid || !(await app.queue.push('set_range', range))) this.showRange(this.range);
  }

  /** @param {string[]} names @param {string} model */
  setModels(names, model) {
    const list = element('model');
    const text = (/** @type {string} */ name) => (name === 'bundled' ? 'the bundled model' : name);
    list.replaceChildren(...names.map((value) => createElement('option', { value, textContent: text(value) })));
    list.onchange = async () => {
      if (!(await this.app.send('set_model', { name: list.value }))) this.setModel(this.model);
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
    const alive = Boolean(job && ['starting', 'running', 'paused'].includes(job.status));
    element('job').hidden = !alive;
    for (const button of elements('track', 'backward', 'both')) button.disabled = alive;
    if (job && alive) {
      if (!this.job) this.isFollowing = true;
      this.showProgress(job);
      if (job.done) this.app.review.refreshLive();
      if (this.isFollowing && !this.app.toolbox.isDrawing && job.status === 'running' && job.done) this.app.playback.goTo(job.frame);
    } else if (this.job && job) {
      const lost = job.lost_pixels ? `; other objects lost ${countText(job.lost_pixels, 'pixel')}` : '';
      this.app.showMessage(job.problem || `Tracking: ${countText(job.done, 'frame')}, ${job.status}${lost}`, Boolean(job.problem));
      this.app.review.refresh();
    }
    this.job = alive ? job : null;
  }

  /** Show the propagation of a correction, which disables nothing. @param {JobProgress | null} job null: none runs */
  setCorrection(job) {
    const alive = Boolean(job && ['starting', 'running'].includes(job.status));
    let text = '';
    if (job && alive) text = job.status === 'starting' ? 'loading the model…' : `${job.done} of ${job.total} frames`;
    element('propagation').textContent = text && `correction: ${text}`;
    if (job?.problem) this.app.showMessage(job.problem, true);
    if (!alive && job?.done) this.app.review.refresh();
    if (job?.status === 'done' && job.lost_pixels) toast(`The correction took ${countText(job.lost_pixels, 'pixel')} of other objects`);
  }

  /** @param {JobProgress} job */
  showProgress(job) {
    if (job.total) element('progress').value = job.done / job.total;
    else element('progress').removeAttribute('value');
    const left = job.remaining === null ? '' : `, ${duration(job.remaining)} left`;
    const speed = job.speed ? `, ${job.speed.toFixed(1)} frames/s${left}` : '';
    const done = `${job.done}${job.total ? ` of ${job.total}` : ' frames'}`;
    element('job-text').textContent = job.status === 'starting' ? 'loading the model…' : `${job.status} · ${done}${speed}`;
    setLabel(element('pause'), job.status === 'paused' ? 'Resume' : 'Pause');
    setIcon(element('pause'), job.status === 'paused' ? 'play' : 'pause');
  }

  /** @param {import('./protocol.js').Actions['track']['message']['direction']} direction */
  async track(direction) {
    await this.app.queue.last; // may select the object
    const [first, last] = [readNumber('first'), readNumber('last')];
    const { playback } = this.app;
    playback.stop();
    this.app.toolbox.cancel();
    const message = { frame: playback.frame, direction, first, last };
    if (await this.app.send('track', message)) this.app.showMessage('');
  }

  /** Remove the tracked masks from this frame on. */
  async drop() {
    const { playback: { frame }, history } = this.app;
    const answer = await this.app.send('drop_results', { frame, last: readNumber('last') });
    if (!answer) return;
    if (answer.result) history.offer(answer, `Tracking cleared on ${countText(answer.result, 'frame')}`);
    else this.app.showMessage('No tracked masks from this frame on.');
    this.app.review.refresh();
  }

  stop() {
    if (this.job) this.app.request('stop', {});
  }

  pause() {
    if (this.job) this.app.send(this.job.status === 'paused' ? 'resume' : 'pause', {});
  }
}

/** Format a duration. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** @typedef {import('./protocol.js').ReviewEntry} ReviewEntry */

const MAX_MARKED = 50;
/** Pause between two refreshes while tracking runs: milliseconds, and multiple of the last answer's duration. */
const LIVE_PAUSE = { least: 2000, factor: 5 };

export class Review {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Frames to check, the worst first, then corrected ones. @type {ReviewEntry[]} */
    this.entries = [];
    /** Frame of the last visit. */
    this.lastVisit = -1;
    /** Time of the next live refresh, as `performance.now`. */
    this.nextLive = 0;
    /** Ends with the refresh that runs. @type {Promise<void> | null} */
    this.pendingRefresh = null;
    /** Whether something changed since the last request; `strips`: whether they may be wrong too. */
    this.stale = { checks: false, strips: false };
    /** Notes by frame. @type {Record<number, string>} */
    this.notes = {};
    /** @type {RowList<ReviewEntry>} */
    this.list = new RowList(element('review'), ({ frame }) => frame, (entry) => this.createRow(entry));
    /** @type {RowList<[string, string]>} */
    this.noteList = new RowList(element('notes'), ([frame]) => frame, ([frame]) => {
      const button = createElement('button', { name: `note${frame}`, onclick: () => app.playback.seek(Number(frame)) });
      return { line: createElement('li', {}, button), show: ([, text]) => { button.textContent = `${frame}: ${text}`; } };
    });
    this.note = new TextField(element('note'), (frame, text) => app.queue.push('set_note', { frame, text }));
  }

  /** @param {Record<number, string>} notes by frame */
  setNotes(notes) {
    this.notes = notes;
    this.showNote();
    this.show();
  }

  /** Show the note on the frame. */
  showNote() {
    const { frame } = this.app.playback;
    this.note.show(frame, this.notes[frame] ?? '');
  }

  /** Refresh the checks while a job runs, but not too often; events of frames bring the strips. */
  refreshLive() {
    if (!this.pendingRefresh && performance.now() > this.nextLive) this.refresh(false);
  }

  /** Fetch checks and strips; during a request, once more after it. @param {boolean} [strips] false: checks only */
  refresh(strips = true) {
    this.stale = { checks: true, strips: strips || this.stale.strips };
    this.pendingRefresh ??= this.fetchChanged();
    return this.pendingRefresh;
  }

  async fetchChanged() {
    try {
      while (this.stale.checks) await this.fetch();
    } catch (error) {
      this.app.showError(error);
    }
    this.pendingRefresh = null;
  }

  async fetch() {
    const { connection, timeline } = this.app;
    const { strips } = this.stale;
    this.stale = { checks: false, strips: false };
    const start = performance.now();
    if (strips) timeline.setStrips((await connection.call('timeline', {})).result);
    const entries = (await connection.call('review', {})).result;
    this.nextLive = performance.now() + Math.max(LIVE_PAUSE.least, LIVE_PAUSE.factor * (performance.now() - start));
    const corrected = this.entries.filter((entry) => this.isDone(entry) && !entries.some(({ frame }) => frame === entry.frame));
    this.entries = [...entries, ...corrected];
    this.show();
    this.app.objectList.show(this.app.objects);
  }

  show() {
    const { open } = this;
    this.app.timeline.set({ checks: open.slice(0, MAX_MARKED).map(({ frame }) => frame) });
    element('review-empty').hidden = this.entries.length > 0;
    this.list.show(this.entries.slice(0, MAX_MARKED));
    this.noteList.show(Object.entries(this.notes));
    setLabel(element('next-check'), `Next frame to check (${open.length})`);
  }

  /** @param {ReviewEntry} entry @returns {{line: HTMLElement, show: (entry: ReviewEntry) => void}} */
  createRow({ frame }) {
    const { app } = this;
    const image = createElement('img', { loading: 'lazy', alt: '' });
    const [dot, text] = [createElement('span', { className: 'dot' }), createElement('span', {})];
    const button = createElement('button', { name: `check${frame}` }, image, dot, text);
    const show = (/** @type {ReviewEntry} */ entry) => {
      const [done, address] = [this.isDone(entry), app.frames.thumbnail(frame)];
      button.onclick = () => this.goTo(entry);
      button.className = done ? 'done' : '';
      dot.textContent = done ? '✓' : '';
      dot.style.background = (!done && app.objects.find(({ id }) => id === entry.object_ids[0])?.color) || 'none';
      text.textContent = `${frame}: ${done ? 'corrected' : entry.sentence}`;
      if (image.getAttribute('src') !== address) image.src = address;
    };
    return { line: createElement('li', {}, button), show };
  }

  /** Entries that are not corrected. */
  get open() {
    return this.entries.filter((entry) => !this.isDone(entry));
  }

  /** Return whether masks of all doubtful objects are drawn. @param {ReviewEntry} entry */
  isDone({ frame, object_ids: ids }) {
    return ids.every((id) => 'Gg'.includes(this.app.timeline.rows.get(id)?.[frame] || '-'));
  }

  /** Show the masks of a changed frame in the list; tick it off, or no longer. @param {number} frame */
  refreshFrame(frame) {
    if (!this.entries.some((entry) => entry.frame === frame)) return;
    this.stale.checks ||= Boolean(this.pendingRefresh); // the answer may be older than this change
    this.show();
  }

  next() {
    const start = this.entries.findIndex(({ frame }) => frame === this.lastVisit) + 1;
    const entry = [...this.entries.slice(start), ...this.entries].find((candidate) => !this.isDone(candidate));
    if (entry) this.goTo(entry);
    else this.app.showMessage(this.app.timeline.annotated() ? 'Nothing is left to check.' : 'No frames to check. Track first.');
  }

  /** @param {ReviewEntry} entry */
  goTo({ frame, object_ids: [worst], sentence }) {
    const { app } = this;
    this.lastVisit = frame;
    app.select(worst);
    app.showMessage(`Frame ${frame}: ${sentence}. Correct it, or go to the next frame to check.`);
    return app.playback.seek(frame);
  }

  /** Mark this frame as checked, and go to the next one to check; remove the mark if it is there. */
  async toggleChecked() {
    const { frame } = this.app.playback;
    const answer = await this.app.send('toggle_checked', { frame });
    if (!answer) return;
    await this.refresh();
    this.app.history.offer(answer, `Frame ${frame} ${answer.result ? 'marked as checked' : 'to be checked again'}`);
    if (answer.result && this.open.length) this.next();
  }
}
