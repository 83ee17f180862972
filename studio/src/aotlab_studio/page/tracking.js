// @ts-check
/** Tracking: buttons, progress, model settings; frames to check, ranked. */

import { countText, element, elements, createElement, focusView, readNumber, replaceChildren, setIcon, setLabel, toast } from './dom.js';
import { makeThumbnail } from './thumbnails.js';

/** @typedef {import('./protocol.js').JobProgress} JobProgress */

export class Tracking {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {JobProgress | null} */
    this.job = null;
    /** Whether to follow the next run; going to another frame stops it for the current run only. */
    this.follows = true;
    /** Name of the chosen model. */
    this.model = '';
    /** @type {JobProgress | null} */
    this.correction = null;
    element('follow').onchange = () => { this.follows = element('follow').checked; };
    for (const field of elements('first', 'last')) field.onchange = () => this.sendRange();
  }

  /** Set the range to track; empty: to the start or end. @param {string} first @param {string} last */
  setRange(first, last) {
    for (const [field, value] of /** @type {const} */ ([['first', first], ['last', last]])) {
      if (document.activeElement !== element(field)) element(field).value = value; // not while it is being typed
    }
    this.app.timeline.setRange(readNumber('first') ?? null, readNumber('last') ?? null);
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
    this.app.timeline.setRange(first, last);
    await this.app.send('set_range', { first, last });
  }

  /** @param {string[]} names @param {string} chosen */
  setModels(names, chosen) {
    const list = element('model');
    list.replaceChildren(...names.map((value) => createElement('option', { value }, value === 'bundled' ? 'the bundled model' : value)));
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
      if (!this.job) element('follow').checked = this.follows;
      this.showProgress(job);
      if (job.done) this.app.review.refreshLive();
      if (element('follow').checked && !this.app.toolbox.drawing && job.status === 'running' && job.done) this.app.playback.goTo(job.frame);
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
    this.correction = alive ? job : null;
    this.showWaiting();
    if (job?.problem) this.app.showMessage(job.problem, true);
    if (!alive && job?.done) this.app.review.refresh();
    if (job?.status === 'done' && job.lost_pixels) toast(`The correction took ${countText(job.lost_pixels, 'pixel')} of other objects`);
  }

  showWaiting() {
    const job = this.correction;
    element('propagation').textContent = job ? (job.status === 'starting' ? 'correction: loading the model…' : `correction: ${job.done} of ${job.total} frames`) : '';
  }

  /** Stop following, because the person went to another frame. */
  stopFollowing() {
    if (this.job) element('follow').checked = false;
  }

  /** @param {JobProgress} job */
  showProgress(job) {
    if (job.total) element('progress').value = job.done / job.total;
    else element('progress').removeAttribute('value');
    const left = job.remaining === null ? '' : `, ${duration(job.remaining)} left`;
    const speed = job.speed ? `, ${job.speed.toFixed(1)} frames/s${left}` : '';
    const done = `${job.done}${job.total ? ` of ${job.total}` : ' frames'}`;
    const pass = job.passes > 1 ? `, pass ${job.current_pass} of ${job.passes}` : '';
    element('job-text').textContent = job.status === 'starting' ? 'loading the model…' : `${job.status} · ${done}${speed}${pass}`;
    setLabel(element('pause'), job.status === 'paused' ? 'Resume' : 'Pause');
    setIcon(element('pause'), job.status === 'paused' ? 'play' : 'pause');
  }

  /** Objects to track; undefined: all. */
  get selectedIds() {
    return element('only').checked ? [this.app.chosen] : undefined;
  }

  /** @param {import('./protocol.js').JobProgress['direction']} direction */
  async track(direction) {
    await this.app.drawn; // may choose the object
    const values = { direction, first: readNumber('first'), last: readNumber('last'), object_ids: this.selectedIds };
    this.app.playback.setRun(null);
    if (await this.app.send('track', values)) this.app.showMessage('');
  }

  /** Drop the results from this frame on. */
  async drop() {
    const answer = await this.app.send('drop_results', { last: readNumber('last'), object_ids: this.selectedIds });
    if (!answer) return;
    const count = answer.result;
    if (count) this.app.history.offer(answer, `Results dropped on ${count} ${count === 1 ? 'frame' : 'frames'}`);
    else this.app.showMessage('No results from this frame on.');
    this.app.review.refresh();
  }

  pause() {
    if (this.job) this.app.send(this.job.status === 'paused' ? 'resume' : 'pause');
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

/** Milliseconds between two refreshes while tracking runs. */
const REVIEW_INTERVAL = 2000;

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
    this.asked = 0;
    this.refreshing = false;
    /** Whether something changed since the last request. */
    this.refreshAgain = false;
    /** Notes by frame. @type {Record<number, string>} */
    this.notes = {};
    /** Frame of the note in the field. */
    this.noted = 0;
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
    field.value = this.notes[this.noted] || '';
  }

  async storeNote() {
    if (document.activeElement === element('note')) focusView();
    await this.app.send('set_note', { frame: this.noted, text: element('note').value });
    this.showNote();
  }

  /** Refresh while a job runs, but not too often. */
  refreshLive() {
    if (!this.refreshing && performance.now() - this.asked > REVIEW_INTERVAL) this.refresh();
  }

  /** Fetch strips and checks; during a request, once more after it. */
  async refresh() {
    this.refreshAgain = true;
    if (this.refreshing) return;
    this.refreshing = true;
    try {
      while (this.refreshAgain) {
        this.refreshAgain = false;
        this.asked = performance.now();
        await this.fetch();
      }
    } catch (error) {
      this.app.showError(error);
    }
    this.refreshing = false;
  }

  async fetch() {
    const { connection, timeline } = this.app;
    timeline.setStrips((await connection.call('strips', {})).result);
    const visits = groupByFrame((await connection.call('review', {})).result);
    this.thumbnails.clear();
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
    this.app.timeline.setChecks(open.slice(0, MAX_MARKED).map((visit) => visit.frame));
    element('review-empty').hidden = this.visits.length > 0;
    replaceChildren(element('review'), this.visits.slice(0, MAX_MARKED).map((visit) => this.row(visit)));
    replaceChildren(element('notes'), Object.entries(this.notes).map(([frame, text]) => createElement(
      'li', {}, createElement('button', { name: `note${frame}`, onclick: () => this.app.playback.seek(Number(frame)) }, `${frame}: ${text}`),
    )));
    setLabel(element('next'), `Next frame to check (${open.length})`);
  }

  /** @param {Visit} visit */
  row(visit) {
    const { frame, done, checks } = visit;
    const worst = this.app.objects.find((one) => one.id === checks[0].object_id);
    const dot = createElement('span', { className: 'dot' }, done ? '✓' : '');
    dot.style.background = worst && !done ? worst.color : 'none';
    const text = createElement('span', {}, `${frame}: ${done ? 'corrected' : this.sentence(visit)}`);
    const values = { name: `check${frame}`, onclick: () => this.goTo(visit), className: done ? 'done' : '' };
    return createElement('li', {}, createElement('button', values, this.thumbnail(frame), dot, text));
  }

  /** Return whether masks of all doubtful objects are drawn. @param {Visit} visit */
  isDone({ frame, checks }) {
    return checks.every((check) => 'Gg'.includes(this.app.timeline.rows.get(check.object_id)?.[frame] || '-'));
  }

  /** Tick a frame off, or no longer, after its masks changed. @param {number} frame */
  tick(frame) {
    const visit = this.visits.find((one) => one.frame === frame);
    if (!visit || this.isDone(visit) === Boolean(visit.done)) return;
    visit.done = !visit.done;
    this.refreshAgain = this.refreshAgain || this.refreshing; // the answer may be older than this change
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
    this.app.history.offer(answer, answer.result ? `Frame ${frame} is marked as checked` : `Frame ${frame} is to be checked again`);
    if (answer.result && this.visits.some((visit) => !visit.done)) this.next();
  }

  /** Describe the checks of a frame, the worst object first. @param {Visit} visit */
  sentence({ checks }) {
    const ids = [...new Set(checks.map((check) => check.object_id))];
    const reasons = (/** @type {number} */ id) => checks.filter((check) => check.object_id === id).map((check) => check.sentence);
    return ids.map((id) => `${this.app.getName(id)} ${reasons(id).join(', ')}`).join('; ');
  }
}
