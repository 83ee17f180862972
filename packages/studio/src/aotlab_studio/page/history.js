/** Undo and redo: buttons, and messages that offer to undo a step; the dialog of edits to go back to. */

import { connection } from './connection.js';
import { createElement, element, formatCount, joinSentences } from './dom.js';
import { formatStep } from './fields.js';
import { ask, CANCELED, closeOldToasts, showHint, showToast } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe } from './store.js';

/** Whether another open page made a step. @param {import('./protocol.js').StepInfo | null} step */
const isElsewhere = (step) => Boolean(step?.page) && step?.page !== connection.pageId;

class EditHistory {
  constructor() {
    this.firstStep = -1; // last step before this visit; undo asks before it goes further back
    this.shownFrame = -1; // frame that the last undo or redo went to; the next one may go elsewhere
    subscribe(['project'], () => this.show());
    subscribe(['answer'], () => this.reportLosses(/** @type {EditAnswer} */ (state.answer)));
    element('open-history').onclick = () => this.showSteps();
  }

  /** Name the steps that undo and redo would change in the titles of their buttons. */
  show() {
    const { step, history } = state.project;
    closeOldToasts(step);
    if (this.firstStep < 0) this.firstStep = step;
    for (const [index, label] of ['Undo (Ctrl+Z)', 'Redo (Ctrl+Shift+Z)'].entries()) {
      const note = isElsewhere(history[index]) ? ', made in another window' : '';
      element(index ? 'redo' : 'undo').title = `${label}: ${history[index]?.title ?? 'nothing'}${note}`;
    }
    element('redo').disabled = !history[1] || isElsewhere(history[1]);
  }

  /** Whether this page may undo the last step. */
  get canUndo() {
    const [last] = state.project.history;
    return last !== null && !isElsewhere(last);
  }

  /** Answer to an edit; without a step, it changed nothing. @typedef {{step?: number, error?: Error,
   *   result?: {lost_pixels?: Record<number, number>, warning?: string, object_id?: number} | null}} EditAnswer */
  /** Show a text and the warning of an answer, and offer to undo its step.
   * @param {EditAnswer} answer @param {string} text */
  offerUndo({ step, error, result }, text) {
    if (step) showToast(joinSentences(text, result?.warning), { Undo: () => this.undo(step) }, step);
    else if (!error) showHint('Nothing has changed.');
  }

  /** Show how many pixels an edit took from other objects, and its warning.
   * @param {EditAnswer} answer @param {string} [taker] */
  reportLosses(answer, taker = state.project.getName(answer.result?.object_id ?? 0)) {
    const texts = Object.entries(answer.result?.lost_pixels ?? {}).map(([id, count]) => (
      `${formatCount(count, 'pixel')} from ${state.project.getName(Number(id))}`));
    const { lost_pixels: isDrawn, warning } = answer.result ?? {}; // other edits show their own message
    const losses = texts.length ? `${taker} took ${texts.join(', ')}` : '';
    if (losses || (isDrawn && warning)) this.offerUndo(answer, losses);
  }

  /** Undo a step, by default the last one, unless another was made since. @param {number} [step] */
  undo(step) {
    return this.undoOrRedo('undo', () => ({ step: step ?? state.project.step }));
  }

  /** Undo or redo after the earlier edits. `getMessage` is called then; if it returns undefined, nothing is done.
   * @param {'undo' | 'redo'} action @param {() => {step?: number} | undefined} [getMessage] */
  async undoOrRedo(action, getMessage = () => ({})) {
    if (playback.isReady) playback.stopAtShownFrame();
    const { frame } = state.wanted;
    const answer = await queue.runInOrder({ action }, async (messageId) => {
      const { id } = selection;
      const { target, project: { objects } } = state;
      const message = getMessage();
      if (!message || (action === 'undo' && !(await this.confirmUndo()))) return { error: CANCELED };
      const { error, result: step } = await queue.send(action, message, target, messageId);
      if (error) return { error };
      selection.selectAfterUndo(id, objects);
      if (step && step.frame !== null && [frame, this.shownFrame].some((each) => playback.mayLeave(each))) {
        this.shownFrame = step.frame;
        playback.seek(step.frame);
      }
      return { step };
    });
    if (answer.step) showHint(`${answer.step.title}: ${action === 'undo' ? 'undone' : 'redone'}`);
    return answer;
  }

  /** Ask before a step of an earlier visit is undone; return whether to undo. */
  async confirmUndo() {
    const { step, history: [last] } = state.project;
    if (!last || step > this.firstStep) return true;
    const text = `${formatStep(last)}, before this visit. Undo it?`;
    return ask('Undo', createElement('p', {}, text), 'undo');
  }

  /** Show the edits in a dialog. */
  async showSteps() {
    const { error, result = [] } = await queue.edit('list_history', {});
    if (error) return;
    element('steps').replaceChildren(...result.map(({ step, time, label }, index) => createElement('li', {},
      createElement('span', {}, formatStep({ title: label, time })),
      index === 0 ? 'now' : createElement('button', {
        type: 'button', ariaLabel: `Back to ${label}`, onclick: () => this.goBack(step, label),
      }, 'Back to this'))));
    element('history-dialog').showModal();
  }

  async goBack(/** @type {number} */ step, /** @type {string} */ label) {
    element('history-dialog').close();
    this.offerUndo(await queue.edit('restore_step', { step }), `Back to: ${label}`);
  }

}

export const editHistory = new EditHistory();
