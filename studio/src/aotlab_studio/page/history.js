// @ts-check
/** Undo and redo: buttons, and messages that offer to undo a step. */

import { countText, elements, toast } from './dom.js';

export class EditHistory {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Last step of the history; 0: none. */
    this.step = 0;
  }

  /** @param {import('./protocol.js').DocumentState} state with the titles of the steps that undo and redo would take */
  show({ history: titles, step }) {
    this.step = step;
    this.app.toolbox.show();
    for (const [index, button] of elements('undo', 'redo').entries()) {
      const label = ['Undo (Ctrl+Z)', 'Redo (Ctrl+Shift+Z)'][index];
      button.disabled = !titles[index];
      button.title = titles[index] ? `${label}: ${titles[index]}` : label;
    }
  }

  /** Show a message about a step with a button that undoes it. @param {{step: number} | undefined} answer undefined: it failed @param {string} text */
  offer(answer, text) {
    if (answer) toast(text, { Undo: () => this.undo(answer.step) });
  }

  /**
   * Say how many pixels other objects lost.
   * @param {{step: number, result: {losses: Record<number, number>, object_id?: number}} | undefined} answer
   * @param {string} [taker] the object of the answer if not given
   */
  reportTaken(answer, taker = this.app.getName(answer?.result.object_id ?? 0)) {
    const losses = Object.entries(answer?.result.losses ?? {});
    const texts = losses.map(([id, count]) => `${countText(count, 'pixel')} of ${this.app.getName(Number(id))}`);
    if (texts.length) this.offer(answer, `${taker} took ${texts.join(', ')}`);
  }

  /** Remove the last corner; without one, undo the last step. @param {number} [step] undo only this step */
  async undo(step) {
    const { app, app: { toolbox } } = this;
    if (step === undefined && toolbox.dropLast()) return undefined;
    await app.queue.last; // may select the object
    const { selectedId } = app;
    const answer = await app.send('undo', { step });
    if (answer) app.selectPredecessor(selectedId);
    this.report(answer?.result, 'undone');
    return answer;
  }

  async redo() {
    this.report((await this.app.send('redo', {}))?.result, 'redone');
  }

  /** @param {{title: string, frame: number | null} | undefined | null} step @param {string} outcome */
  report(step, outcome) {
    if (!step) return;
    this.app.showMessage(`${step.title}: ${outcome}`);
    if (step.frame !== null) this.app.playback.seek(step.frame);
  }

  /** Remove the last corner or click; without one, the object. */
  deleteKey() {
    const { hasUnfinishedInput, marks } = this.app.toolbox;
    if (hasUnfinishedInput || marks.length) this.undo();
    else this.app.deleteObject();
  }

  async resetFrame() {
    const { frame } = this.app.playback;
    this.offer(await this.app.queue.push('remove_keyframe', { frame }), `Drawn masks of frame ${frame} removed`);
  }
}
