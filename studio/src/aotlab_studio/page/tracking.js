// @ts-check
/** Tracking: buttons, progress, model settings; frames to check, ranked. */

import { countText, element, elements, createElement, readNumber, replaceChildren, setIcon, setLabel, toast } from './dom.js';
import { makeThumbnail } from './thumbnails.js';

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

  /** Set the range to track; empty: to the start or end. @param {string} first @param {string} last */
  setRange(first, last) {
    for (const [field, value] of /** @type {const} */ ([['first', first], ['last', last]])) {
      if (document.activeElement !== element(field)) element(field).value = value; // not while it is being typed
    }
    this.app.timeline.set({ range: [readNumber('first') ?? null, readNumber('last') ?? null] });
  }

  /** Show the range that the server has. @param {[number, number] | null} range null: all */
  showRange(range) {
    if (this.app.timeline.handle >= 0) return; // it is being dragged, and will be stored
    const [first, last] = range ?? [0, Infinity];
    this.setRange(first ? String(first) : '', last < this.app.playback.count - 1 ? String(last) : '');
  }

  /** Store the range of the fields. */
  async sendRange() {
    const [first, last] = [readNumber('first') ?? null, readNumber('last') ?? null];
    this.app.timeline.set({ range: [first, last] });
    await this.app.send('set_range', { first, last });
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

  /** Objects to track; undefined: all. */
  get selectedIds() {
    return element('only').checked ? [this.app.chosen] : undefined;
  }

  /** @param {import('./protocol.js').Actions['track']['message']['direction']} direction */
  async track(direction) {
    await this.app.queue.last; // may choose the object
    const [first, last] = [readNumber('first'), readNumber('last')];
    const { playback } = this.app;
    playback.stop();
    const message = { frame: playback.frame, direction, first, last, object_ids: this.selectedIds };
    if (await this.app.send('track', message)) this.app.showMessage('');
  }

  /** Drop the results from this frame on. */
  async drop() {
    const { playback: { frame }, history } = this.app;
    const answer = await this.app.send('drop_results', { frame, last: readNumber('last'), object_ids: this.selectedIds });
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

/** @typedef {import('./protocol.js').ReviewEntry} Check */
/** @typedef {{frame: number, checks: Check[], done?: boolean}} Visit */

const MAX_MARKED = 50;

/** Pause between two refreshes while tracking runs: milliseconds, and multiple of the last answer's duration. */
const LIVE_PAUSE = { least: 2000, factor: 5 };

/** Group the checks by frame, the worst first. @param {Check[]} checks the worst first @returns {Visit[]} */
function groupByFrame(checks) {
  /** @type {Map<number, Check[]>} */
  const byFrame = new Map();
  for (const check of checks) byFrame.set(check.frame, [...(byFrame.get(check.frame) || []), check]);
  return [...byFrame].map(([frame, found]) => ({ frame, checks: found }));
}

export class Review {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {Visit[]} */
    this.visits = [];
    this.index = -1;
    /** Time of the next live refresh, as `performance.now`. */
    this.nextLive = 0;
    /** Ends with the refresh that runs. @type {Promise<void> | null} */
    this.refreshing = null;
    /** Whether something changed since the last request; `strips`: whether they may be wrong too. */
    this.changed = { checks: false, strips: false };
    /** Notes by frame. @type {Record<number, string>} */
    this.notes = {};
    /** Frame of the note in the field. */
    this.noted = 0;
    /** Notes that were not stored, by frame; the field keeps them. @type {Record<number, string>} */
    this.refused = {};
    /** By frame. @type {Map<number, ReturnType<typeof makeThumbnail>>} */
    this.thumbnails = new Map();
    this.observer = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach(({ target }) => {
      this.observer.unobserve(target);
      [...this.thumbnails.values()].find(({ box }) => box === target)?.load();
    }));
  }

  /** Return the thumbnail of a frame, which is drawn when it is scrolled into view. @param {number} frame */
  thumbnail(frame) {
    const shown = this.app.objects.filter((item) => !item.hidden);
    const found = this.thumbnails.get(frame) || makeThumbnail(this.app.frames, frame, shown);
    if (!this.thumbnails.has(frame)) this.observer.observe(found.box);
    this.thumbnails.set(frame, found);
    return found.box;
  }

  /** @param {Record<number, string>} notes by frame */
  setNotes(notes) {
    this.notes = notes;
    this.showNote();
    this.show();
  }

  /** Show the note of the frame, unless one is being typed. */
  showNote() {
    const field = element('note');
    if (document.activeElement === field) return;
    this.noted = this.app.playback.frame;
    field.value = this.refused[this.noted] ?? this.notes[this.noted] ?? '';
  }

  async storeNote() {
    const [frame, text] = [this.noted, element('note').value.trim()];
    if (text === (this.notes[frame] || '') || await this.app.queue.push('set_note', { frame, text })) delete this.refused[frame];
    else this.refused[frame] = text;
    this.showNote();
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
    if (strips) {
      timeline.setStrips((await connection.call('strips', {})).result);
      this.thumbnails.clear();
    }
    const visits = groupByFrame((await connection.call('review', {})).result);
    this.nextLive = performance.now() + Math.max(LIVE_PAUSE.least, LIVE_PAUSE.factor * (performance.now() - start));
    for (const visit of [...visits, ...this.visits]) visit.done = this.isDone(visit);
    const at = this.visits[this.index];
    const corrected = this.visits.filter((visit) => visit.done && !visits.some((one) => one.frame === visit.frame));
    this.visits = [...visits, ...corrected];
    this.index = at ? this.visits.findIndex((visit) => visit.frame === at.frame) : -1;
    this.show();
    this.app.setObjects(this.app.objects);
  }

  show() {
    const open = this.visits.filter((visit) => !visit.done);
    const listed = this.visits.slice(0, MAX_MARKED);
    for (const frame of this.thumbnails.keys()) if (!listed.some((visit) => visit.frame === frame)) this.thumbnails.delete(frame);
    this.app.timeline.set({ checks: open.slice(0, MAX_MARKED).map((visit) => visit.frame) });
    element('review-empty').hidden = this.visits.length > 0;
    showChecks(element('review'), listed, this.app);
    replaceChildren(element('notes'), Object.entries(this.notes).map(([frame, text]) => createElement('li', {},
      createElement('button', { name: `note${frame}`, textContent: `${frame}: ${text}`, onclick: () => this.app.playback.seek(Number(frame)) }))));
    setLabel(element('next-check'), `Next frame to check (${open.length})`);
  }

  /** Return whether masks of all doubtful objects are drawn. @param {Visit} visit */
  isDone({ frame, checks }) {
    return checks.every((check) => 'Gg'.includes(this.app.timeline.rows.get(check.object_id)?.[frame] || '-'));
  }

  /** Draw the thumbnail of a changed frame again when it is in view; tick the frame off, or no longer. @param {number} frame */
  refreshFrame(frame) {
    const thumbnail = this.thumbnails.get(frame);
    if (thumbnail) {
      this.observer.unobserve(thumbnail.box);
      this.observer.observe(thumbnail.box); // says whether it is in view
    }
    const visit = this.visits.find((one) => one.frame === frame);
    if (!visit || this.isDone(visit) === Boolean(visit.done)) return;
    visit.done = !visit.done;
    this.changed.checks ||= Boolean(this.refreshing); // the answer may be older than this change
    this.show();
  }

  next() {
    if (!this.visits.some((visit) => !visit.done)) {
      this.app.showMessage(this.app.timeline.annotated() ? 'Nothing is left to check.' : 'No frames to check. Track first.');
      return;
    }
    do this.index = (this.index + 1) % this.visits.length;
    while (this.visits[this.index].done);
    this.goTo(this.visits[this.index]);
  }

  /** @param {Visit} visit */
  goTo(visit) {
    const { app } = this;
    this.index = this.visits.indexOf(visit);
    app.choose(visit.checks[0].object_id);
    app.showMessage(`Frame ${visit.frame}: ${this.sentence(visit)}. Correct it, or go to the next frame to check.`);
    return app.playback.seek(visit.frame);
  }

  /** Mark this frame as checked, and go to the next one to check; remove the mark if it is there. */
  async toggleChecked() {
    const { frame } = this.app.playback;
    const answer = await this.app.send('toggle_checked', { frame });
    if (!answer) return;
    await this.refresh();
    this.app.history.offer(answer, `Frame ${frame} ${answer.result ? 'marked as checked' : 'to be checked again'}`);
    if (answer.result && this.visits.some((visit) => !visit.done)) this.next();
  }

  /** Describe the checks of a frame, the worst object first. @param {Visit} visit */
  sentence({ checks }) {
    const ids = [...new Set(checks.map((check) => check.object_id))];
    const reasons = (/** @type {number} */ id) => checks.filter((check) => check.object_id === id).map((check) => check.sentence);
    return ids.map((id) => `${this.app.getName(id)} ${reasons(id).join(', ')}`).join('; ');
  }
}

/** @param {HTMLElement} list @param {Visit[]} visits @param {import('./main.js').App} app */
function showChecks(list, visits, { objects, review }) {
  replaceChildren(list, visits.map((visit) => {
    const { frame, done, checks } = visit;
    const worst = objects.find((one) => one.id === checks[0].object_id);
    const dot = createElement('span', { className: 'dot', textContent: done ? '✓' : '' });
    dot.style.background = worst && !done ? worst.color : 'none';
    const text = createElement('span', { textContent: `${frame}: ${done ? 'corrected' : review.sentence(visit)}` });
    const values = { name: `check${frame}`, onclick: () => review.goTo(visit), className: done ? 'done' : '' };
    return createElement('li', {}, createElement('button', values, review.thumbnail(frame), dot, text));
  }));
}
