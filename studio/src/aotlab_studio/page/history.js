// @ts-check
/** Undo and redo, and the offer to undo what destroys. */

import { element, toast } from './dom.js';

export class History {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
  }

  /** @param {(string | null)[]} titles of the steps that undo and redo would take */
  setTitles(titles) {
    for (const [index, id] of ['undo', 'redo'].entries()) {
      element(id).disabled = !titles[index];
      element(id).title = titles[index] || '';
    }
  }

  /** Show a message with a button that undoes the last step, if it still is the last. @param {string} text */
  offer(text) {
    const { step } = this.app.connection;
    toast(text, { Undo: () => this.undo(step) });
  }

  /**
   * Undo the last corner or click; without one, the last step.
   * @param {number} [step] undo only this step
   */
  async undo(step) {
    const { toolbox } = this.app;
    if (step === undefined && toolbox.begun && !toolbox.dropLast()) return;
    this.report(await this.app.send('undo', { step }), 'undone');
  }

  async redo() {
    this.report(await this.app.send('redo'), 'redone');
  }

  /** @param {{title: string, frame: number | null} | undefined | null} step @param {string} what */
  report(step, what) {
    if (!step) return;
    this.app.say(`${step.title}: ${what}`);
    if (step.title === 'tracking') this.app.review.refresh();
    else if (step.frame !== null) this.app.playback.seek(step.frame);
  }

  /** Remove the last corner or click; without one, the object. */
  deleteKey() {
    if (this.app.toolbox.begun) this.undo();
    else this.app.deleteObject();
  }

  async resetFrame() {
    const { frame } = this.app.playback;
    if ((await this.app.send('remove_keyframe')) !== undefined) this.offer(`Given masks of frame ${frame} are removed`);
  }
}
