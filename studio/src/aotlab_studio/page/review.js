// @ts-check
/** Frames to check, ranked. */

import { element, make } from './dom.js';

/** @typedef {import('./protocol.js').ReviewEntry} Check */
/** @typedef {{frame: number, checks: Check[], done?: boolean}} Visit */

const MARKED = 50;

/** Milliseconds between two refreshes while tracking runs. */
const LIVE = 2000;

/**
 * Group the checks by frame, the worst first.
 * @param {Check[]} checks the worst first
 * @returns {Visit[]}
 */
export function visitsOf(checks) {
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
    this.requests = 0;
    this.asked = 0;
  }

  /** Refresh while a job runs, but not too often. */
  refreshLive() {
    if (performance.now() - this.asked > LIVE) this.refresh();
  }

  /** Fetch the checks; an answer to an older request is dropped. */
  async refresh() {
    const { connection, timeline } = this.app;
    this.requests += 1;
    this.asked = performance.now();
    const request = this.requests;
    let strips;
    let visits;
    try {
      strips = await connection.call('strips', {});
      visits = visitsOf(await connection.call('review', {}));
    } catch (error) {
      this.app.fail(error);
      return;
    }
    if (request !== this.requests) return;
    timeline.setStrips(strips);
    const at = this.visits[this.index];
    const corrected = this.visits.filter((visit) => visit.done && !visits.some((one) => one.frame === visit.frame));
    this.visits = [...visits, ...corrected];
    this.index = at ? this.visits.findIndex((visit) => visit.frame === at.frame) : -1;
    this.show();
    this.app.setObjects(this.app.objects);
  }

  show() {
    const open = this.visits.filter((visit) => !visit.done);
    this.app.timeline.setChecks(open.slice(0, MARKED).map((visit) => visit.frame));
    showChecks(element('review'), this.visits.slice(0, MARKED), this.app);
    element('next').textContent = `Next frame to check (${open.length})`;
  }

  /**
   * Mark a frame as corrected once masks of all its doubtful objects are given.
   * @param {number} frame
   * @param {Record<string, string>} codes
   */
  tick(frame, codes) {
    const visit = this.visits.find((one) => one.frame === frame);
    if (!visit) return;
    const done = visit.checks.every((check) => 'Gg'.includes(codes[check.object_id] || '-'));
    if (done === Boolean(visit.done)) return;
    visit.done = done;
    this.show();
  }

  next() {
    if (!this.visits.some((visit) => !visit.done)) {
      this.app.say('No frames to check. Track first.');
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
    app.say(`Frame ${visit.frame}: ${this.sentence(visit)}. Correct it, or go to the next frame to check.`);
    return app.playback.seek(visit.frame);
  }

  /**
   * Describe the checks of a frame, the worst object first.
   * @param {Visit} visit
   */
  sentence({ checks }) {
    const ids = [...new Set(checks.map((check) => check.object_id))];
    const worst = checks.filter((check) => check.object_id === ids[0]).map((check) => check.sentence);
    const others = ids.slice(1).map((id) => this.app.nameOf(id));
    return `${this.app.nameOf(ids[0])} ${worst.join(', ')}${others.length ? `; also ${others.join(', ')}` : ''}`;
  }
}

/**
 * @param {HTMLElement} list
 * @param {Visit[]} visits
 * @param {import('./main.js').App} app
 */
function showChecks(list, visits, app) {
  list.replaceChildren(...visits.map((visit) => {
    const { frame, done, checks } = visit;
    const worst = app.objects.find((one) => one.id === checks[0].object_id);
    const button = make('button', { onclick: () => app.review.goTo(visit), className: done ? 'done' : '' });
    const dot = make('span', { className: 'dot', textContent: done ? '✓' : '' });
    dot.style.background = worst && !done ? worst.colour : 'none';
    const image = make('img', { src: app.frames.address(frame, 96), loading: 'lazy', alt: '' });
    button.append(image, dot, make('span', { textContent: `${frame}: ${done ? 'corrected' : app.review.sentence(visit)}` }));
    const line = make('li', {});
    line.append(button);
    return line;
  }));
}
