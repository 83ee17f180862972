/** Undo and redo: buttons, and messages that offer to undo a step; the dialog of versions. */

import { createElement, element, formatCount } from './dom.js';
import { formatStep, onSubmit } from './fields.js';
import { ask, CANCELED, closeOldToasts, showHint, showToast } from './messages.js';

export class EditHistory {
  /** @param {Pick<import('./main.js').App, 'connection' | 'playback' | 'project' | 'queue' | 'selection'>} app */
  constructor(app) {
    this.app = app;
    this.comparedVersion = 0; // version whose outlines show; 0: none
    this.onCompare = () => {}; // called when it changes
    this.firstStep = -1; // last step before this visit; undo asks before it goes further back
    this.canUndo = false; // whether this page may undo the last step
    this.shownFrame = -1; // frame that the last undo or redo went to; the next one may go elsewhere
    element('open-versions').onclick = async () => {
      if (!(await this.showVersions()).error) element('versions-dialog').showModal();
    };
    onSubmit(element('version-save'), () => this.saveVersion());
  }

  /** Show what undo and redo would do. @param {import('./protocol.js').PageState} state */
  show({ step, history }) {
    closeOldToasts(step);
    if (this.firstStep < 0) this.firstStep = step;
    this.canUndo = this.showStep(element('undo'), 'Undo (Ctrl+Z)', history[0]);
    element('redo').disabled = !this.showStep(element('redo'), 'Redo (Ctrl+Shift+Z)', history[1]);
  }

  /** Name a step in the title of its button; return whether this page may undo or redo it.
   * @param {HTMLButtonElement} button @param {string} label @param {import('./protocol.js').StepInfo | null} step */
  showStep(button, label, step) {
    const isElsewhere = Boolean(step?.page) && step?.page !== this.app.connection.pageId;
    button.title = `${label}: ${step?.title ?? 'nothing'}${isElsewhere ? ', made in another window' : ''}`;
    return step !== null && !isElsewhere;
  }

  /** Answer to an edit; without a step, it changed nothing. @typedef {{step?: number, error?: Error,
   *   result?: {lost_pixels?: Record<number, number>, object_id?: number, count?: number} | null}} EditAnswer */
  /** Offer to undo the step of an answer. @param {EditAnswer} answer @param {string} text */
  offerUndo({ step, error }, text) {
    if (step) showToast(text, { Undo: () => this.undo(step) }, step);
    else if (!error) showHint('Nothing has changed.');
  }

  /** Show how many pixels an edit took from other objects. @param {EditAnswer} answer @param {string} [taker] */
  reportLosses(answer, taker = this.app.project.getName(answer.result?.object_id ?? 0)) {
    const texts = Object.entries(answer.result?.lost_pixels ?? {}).map(([id, count]) => (
      `${formatCount(count, 'pixel')} from ${this.app.project.getName(Number(id))}`));
    if (texts.length) this.offerUndo(answer, `${taker} took ${texts.join(', ')}`);
  }

  /** Undo a step, by default the last one, unless another was made since. @param {number} [step] */
  undo(step) {
    return this.undoOrRedo('undo', () => ({ step: step ?? this.app.project.step }));
  }

  /** Undo or redo after the earlier edits. `getMessage` is called then; if it returns undefined, nothing is done.
   * @param {'undo' | 'redo'} action @param {() => {step?: number} | undefined} [getMessage] */
  async undoOrRedo(action, getMessage = () => ({})) {
    const { playback, queue, selection } = this.app;
    if (playback.isReady) playback.stopAtShownFrame();
    const { frame } = playback.wanted;
    const answer = await queue.runInOrder({ action }, async (messageId) => {
      const { id, target, project: { objects } } = selection;
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
    const { project: { step, history: [last] } } = this.app;
    if (!last || step > this.firstStep) return true;
    const text = `${formatStep(last)}, before this visit. Undo it?`;
    return ask('Undo', createElement('p', {}, text), 'undo');
  }

  async resetFrame() {
    const { frame } = this.app.playback;
    this.offerUndo(await this.app.queue.edit('reset_frame', { frame }), `Drawn masks of frame ${frame} removed`);
  }

  async saveVersion() {
    const field = element('version-title');
    const title = field.value.trim();
    field.value = '';
    const { error } = await this.app.queue.edit('save_version', { title });
    if (error) field.value ||= title;
    const listed = await this.showVersions();
    element('versions-problem').textContent = (error ?? listed.error)?.message ?? '';
  }

  async showVersions() {
    element('versions-problem').textContent = '';
    const answer = await this.app.queue.edit('list_versions', {});
    if (answer.error) return answer;
    const versions = answer.result;
    element('versions').replaceChildren(...versions.map((version, index) => {
      const number = versions.length - index;
      const text = `${number}: ${formatStep({ ...version, title: version.title || 'untitled' })}`;
      const compare = createElement('button', {
        type: 'button', ariaLabel: `Compare version ${number}`, onclick: () => this.compareVersion(number),
      }, 'Compare');
      return createElement('li', {}, createElement('span', {}, text), compare, createElement('button', {
        type: 'button', ariaLabel: `Restore version ${number}`, onclick: () => this.restoreVersion(number),
      }, 'Restore'));
    }));
    element('versions-empty').hidden = versions.length > 0;
    return answer;
  }

  /** Show the outlines of a version over the masks, or no longer if they show. @param {number} number */
  compareVersion(number) {
    element('versions-dialog').close();
    this.comparedVersion = number === this.comparedVersion ? 0 : number;
    this.onCompare();
    if (!this.comparedVersion) return;
    const stop = () => { if (this.comparedVersion === number) this.compareVersion(number); };
    showToast(`Outlines of version ${number}`, { 'Stop comparing': stop });
  }

  async restoreVersion(/** @type {number} */ number) {
    element('versions-dialog').close();
    this.offerUndo(await this.app.queue.edit('restore_version', { number }), `Version ${number} restored`);
  }
}
