// @ts-check
/** The frames most worth a correction, one after the other. */

import { element } from './page.js';
import { showChecks } from './panels.js';

/** @typedef {{frame: number, number: number, sentence: string, severity: number}} Check */

const MARKED = 50;

export class Review {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** @type {Check[]} */
    this.checks = [];
    this.index = -1;
  }

  async refresh() {
    const { connection, timeline, objects } = this.app;
    timeline.setStrips(await connection.call('strips'));
    this.checks = await connection.call('review');
    this.index = -1;
    timeline.setChecks(this.checks.slice(0, MARKED).map((check) => check.frame));
    showChecks(element('review'), this.checks, this.app);
    element('next').textContent = `Next frame to check (${this.checks.length})`;
    this.app.setObjects(objects);
  }

  next() {
    if (!this.checks.length) {
      this.app.say('Nothing to check: track first, or all is well.');
      return;
    }
    this.index = (this.index + 1) % this.checks.length;
    this.goTo(this.checks[this.index]);
  }

  /** @param {Check} check */
  goTo(check) {
    const { app } = this;
    this.index = this.checks.findIndex((one) => one === check);
    app.choose(check.number);
    const item = app.objects.find((one) => one.number === check.number);
    app.say(`Frame ${check.frame}: ${item ? item.name : check.number} ${check.sentence}. Correct it and track on, or go to the next.`);
    return app.playback.seek(check.frame);
  }
}
