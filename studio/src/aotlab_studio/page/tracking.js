// @ts-check
/** Tracking: buttons, progress, model settings; frames to check, ranked. */

import { countText, element, elements, createElement, readNumber, replaceChildren, setIcon, setLabel, toast } from './dom.js';
import { TextField } from './fields.js';
import { describeRows } from './objects.js';

/** @typedef {import('./protocol.js').JobProgress} JobProgress */

export class Tracking {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {JobProgress | null} */
    this.job = null;
    /** Whether the frames of the run show as they are tracked, until the person goes to another one. */
    this.follows = true;
    /** Name of the chosen model. */
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

  /** Show the range that the server has. @param {[number, number] | null} range null: all */
  showRange(range) {
    if (this.app.timeline.handle < 0) this.setRange(...(range ?? [0, Infinity])); // a dragged one will be stored
  }

  /** Store the range of the fields. */
  sendRange() {
    return this.app.send('set_range', { first: readNumber('first') ?? null, last: readNumber('last') ?? null });
  }

  /** @param {string[]} names @param {string} chosen */
  setModels(names, chosen) {
    const list = element('model');
    const text = (/** @type {string} */ name) => (name === 'bundled' ? 'the bundled model' : name);
    list.replaceChildren(...names.map((value) => createElement('option', { value, textContent: text(value) })));
    list.onchange = async () => {
      if (!(await this.app.send('set_model', { name: list.value }))) this.setModel(this.model);
    };
    element('settings').hidden = !names.length;
    this.setModel(chosen);
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
    for (const button of elements('track', 'forward', 'backward', 'both')) button.disabled = alive;
    if (job && alive) {
      if (!this.job) this.follows = true;
      this.showProgress(job);
      if (job.done) this.app.review.refreshLive();
      if (this.follows && !this.app.toolbox.drawing && job.status === 'running' && job.done) this.app.playback.goTo(job.frame);
    } else if (this.job && job) {
      const lost = job.lost_pixels ? `; other objects lost ${countText(job.lost_pixels, 'pixel')}` : '';
      this.app.showMessage(job.problem || `Tracking: ${job.done} frames, ${job.status}${lost}`, Boolean(job.problem));
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
    await this.app.queue.last; // may choose the object
    const [first, last] = [readNumber('first'), readNumber('last')];
    const { playback } = this.app;
    playback.stop();
    const message = { frame: playback.frame, direction, first, last };
    if (await this.app.send('track', message)) this.app.showMessage('');
  }

  /** Drop the results from this frame on. */
  async drop() {
    const { playback: { frame }, history } = this.app;
    const answer = await this.app.send('drop_results', { frame, last: readNumber('last') });
    if (!answer) return;
    if (answer.result) history.offer(answer, `Tracking cleared on ${countText(answer.result, 'frame')}`);
    else this.app.showMessage('No results from this frame on.');
    this.app.review.refresh();
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
    /** Number of entries that the list shows as not corrected. */
    this.openCount = 0;
    /** Frame of the last visit. */
    this.visited = -1;
    /** Time of the next live refresh, as `performance.now`. */
    this.nextLive = 0;
    /** Ends with the refresh that runs. @type {Promise<void> | null} */
    this.refreshing = null;
    /** Whether something changed since the last request; `strips`: whether they may be wrong too. */
    this.changed = { checks: false, strips: false };
    /** Notes by frame. @type {Record<number, string>} */
    this.notes = {};
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
    if (!this.refreshing && performance.now() > this.nextLive) this.refresh(false);
  }

  /** Fetch checks and strips; during a request, once more after it. @param {boolean} [strips] false: checks only */
  refresh(strips = true) {
    this.changed = { checks: true, strips: strips || this.changed.strips };
    this.refreshing ??= this.fetchAll();
    return this.refreshing;
  }

  async fetchAll() {
    try {
      while (this.changed.checks) await this.fetch();
    } catch (error) {
      this.app.showError(error);
    }
    this.refreshing = null;
  }

  async fetch() {
    const { connection, timeline } = this.app;
    const { strips } = this.changed;
    this.changed = { checks: false, strips: false };
    const start = performance.now();
    if (strips) timeline.setStrips((await connection.call('timeline', {})).result);
    const entries = (await connection.call('review', {})).result;
    this.nextLive = performance.now() + Math.max(LIVE_PAUSE.least, LIVE_PAUSE.factor * (performance.now() - start));
    const corrected = this.entries.filter((entry) => this.isDone(entry) && !entries.some(({ frame }) => frame === entry.frame));
    this.entries = [...entries, ...corrected];
    this.show();
    describeRows(this.app);
  }

  show() {
    const { frames, objects, playback, timeline } = this.app;
    const { open } = this;
    this.openCount = open.length;
    timeline.set({ checks: open.slice(0, MAX_MARKED).map(({ frame }) => frame) });
    element('review-empty').hidden = this.entries.length > 0;
    replaceChildren(element('review'), this.entries.slice(0, MAX_MARKED).map((entry) => {
      const { frame, object_ids: [worst], sentence } = entry;
      const done = this.isDone(entry);
      const dot = createElement('span', { className: 'dot', textContent: done ? '✓' : '' });
      dot.style.background = (!done && objects.find(({ id }) => id === worst)?.color) || 'none';
      const text = createElement('span', { textContent: `${frame}: ${done ? 'corrected' : sentence}` });
      const image = createElement('img', { loading: 'lazy', src: frames.thumbnail(frame), alt: '' });
      const values = { name: `check${frame}`, onclick: () => this.goTo(entry), className: done ? 'done' : '' };
      return createElement('li', {}, createElement('button', values, image, dot, text));
    }));
    replaceChildren(element('notes'), Object.entries(this.notes).map(([frame, text]) => createElement('li', {},
      createElement('button', { name: `note${frame}`, textContent: `${frame}: ${text}`, onclick: () => playback.seek(Number(frame)) }))));
    setLabel(element('next-check'), `Next frame to check (${open.length})`);
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
    this.changed.checks ||= Boolean(this.refreshing); // the answer may be older than this change
    const image = element('review').querySelector(`[name=check${frame}] img`);
    if (this.open.length !== this.openCount) this.show();
    else if (image instanceof HTMLImageElement) image.src = this.app.frames.thumbnail(frame); // buttons stay, which somebody may be pressing
  }

  next() {
    const start = this.entries.findIndex(({ frame }) => frame === this.visited) + 1;
    const entry = [...this.entries.slice(start), ...this.entries].find((each) => !this.isDone(each));
    if (entry) this.goTo(entry);
    else this.app.showMessage(this.app.timeline.annotated() ? 'Nothing is left to check.' : 'No frames to check. Track first.');
  }

  /** @param {ReviewEntry} entry */
  goTo({ frame, object_ids: [worst], sentence }) {
    const { app } = this;
    this.visited = frame;
    app.choose(worst);
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
