/** Undo and redo: buttons, and messages that offer to undo a step; the dialog of versions. */

import { CANCELED, createElement, element, elements, formatCount, onSubmit, showMessage, showToast } from './dom.js';

export class EditHistory {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    element('open-versions').onclick = async () => {
      await this.showVersions();
      element('versions-dialog').showModal();
    };
    onSubmit(element('version-save'), () => this.saveVersion());
  }

  /** Show what undo and redo would do. @param {import('./protocol.js').DocumentState} state */
  show({ step, history: titles, history_pages: pages }) {
    for (const box of element('toasts').querySelectorAll(`[data-step]:not([data-step='${step}'])`)) box.remove();
    this.app.toolbox.show();
    for (const [index, button] of elements('undo', 'redo').entries()) {
      const label = ['Undo (Ctrl+Z)', 'Redo (Ctrl+Shift+Z)'][index];
      const isElsewhere = ![null, this.app.connection.pageId].includes(pages[index]);
      button.disabled = !titles[index] || isElsewhere;
      button.title = `${label}: ${titles[index] ?? 'nothing'}${isElsewhere ? ', made in another window' : ''}`;
    }
  }

  /** Offer to undo the step of an answer. @param {{step?: number, error?: Error}} answer @param {string} text */
  offerUndo(answer, text) {
    if (!answer.error) showToast(text, { Undo: () => this.undo(answer.step) }, answer.step);
  }

  /**
   * Show how many pixels an edit took from other objects.
   * @param {{step?: number, result?: {losses: Record<number, number>, object_id?: number}, error?: Error}} answer
   * @param {string} [taker] the object of the answer if not given
   */
  reportLosses(answer, taker = this.app.getName(answer.result?.object_id ?? 0)) {
    const losses = Object.entries(answer.result?.losses ?? {});
    const texts = losses.map(([id, count]) => `${formatCount(count, 'pixel')} from ${this.app.getName(Number(id))}`);
    if (texts.length) this.offerUndo(answer, `${taker} took ${texts.join(', ')}`);
  }

  /** Undo the last step. @param {number} [step] only if it is this one */
  undo(step) {
    return this.move('undo', () => ({ step }));
  }

  /**
   * Undo or redo after the earlier edits.
   * @param {'undo' | 'redo'} action
   * @param {() => {step?: number} | undefined} [getMessage] called after them; undefined: do nothing
   */
  move(action, getMessage = () => ({})) {
    const { app: { playback, queue, selection } } = this;
    playback.cancelSeek();
    return queue.runInOrder(async () => {
      const { frame } = playback.destination;
      const { app: { objects }, id, target } = selection;
      const message = getMessage();
      if (!message) return { error: CANCELED };
      const answer = await queue.sendNow(action, message, target);
      const step = answer.result;
      if (!answer.error && action === 'undo') selection.selectAfterUndo(id, objects);
      if (step) showMessage(`${step.title}: ${action === 'undo' ? 'undone' : 'redone'}`);
      if (step && step.frame !== null && playback.mayChangeFrame(frame)) playback.seek(step.frame);
      return answer;
    });
  }

  async resetFrame() {
    const { frame } = this.app.playback;
    this.offerUndo(await this.app.queue.edit('remove_keyframe', { frame }), `Drawn masks of frame ${frame} removed`);
  }

  async saveVersion() {
    const field = element('version-title');
    const title = field.value.trim();
    field.value = '';
    if ((await this.app.queue.edit('save_version', { title })).error) field.value ||= title;
    await this.showVersions();
  }

  async showVersions() {
    const { result: versions } = await this.app.queue.edit('list_versions', {});
    if (!versions) return;
    element('versions').replaceChildren(...versions.map(({ number, title, author, date }) => {
      const text = [`${number}: ${title || 'untitled'}`, author, date].filter(Boolean).join(' · ');
      return createElement('li', {}, createElement('span', {}, text), createElement('button', {
        type: 'button', ariaLabel: `Restore version ${number}`, onclick: () => this.restoreVersion(number),
      }, 'Restore'));
    }));
    element('versions-empty').hidden = versions.length > 0;
  }

  /** @param {number} number */
  async restoreVersion(number) {
    element('versions-dialog').close();
    this.offerUndo(await this.app.queue.edit('restore_version', { number }), `Version ${number} restored`);
  }
}
