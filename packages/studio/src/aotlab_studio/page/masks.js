/** Masks of whole frames: copied to other frames, or given other outlines. */

import { connection } from './connection.js';
import { CoalescedTask, element, elements, focusViewIfLost, formatCount, joinSentences } from './dom.js';
import { editHistory } from './history.js';
import { showHint, showMessage, showToast } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe } from './store.js';
import { isDrawn } from './timeline.js';
import { tracking } from './tracking.js';
import { viewer } from './viewer.js';

/** @typedef {import('./protocol.js').Actions['reshape']['message']['shape']} Shape */
/** @typedef {{frame: number, last?: number, object_id?: null, take?: boolean}} PasteTarget */

/** Name the frames that an edit has changed, of those that it was for. @param {number} count
 * @param {PasteTarget} frames */
function describeFrames(count, { frame, last }) {
  if (last === undefined || last === frame) return formatCount(count, 'frame');
  return `${count > last - frame ? '' : `${count} of `}frames ${frame} to ${last}`;
}

class MaskEdits {
  constructor() {
    /** Frame whose masks are pasted, and the last edit that they include. */
    this.copied = { source: -1, step: 0 };
    this.isPreviewed = false;
    this.previewTask = new CoalescedTask(() => this.showPreview());
    for (const field of elements('shape', 'shape-radius')) {
      field.onfocus = field.oninput = () => { this.isPreviewed = true; this.previewTask.run(); };
      field.onblur = () => { this.isPreviewed = false; this.previewTask.run(); };
    }
    subscribe(['shown', 'marks'], () => focusViewIfLost(() => this.show()));
    selection.subscribe(() => focusViewIfLost(() => this.show()));
    element('on-range').onchange = () => this.show();
    element('shape').onchange = () => {
      element('shape-label').textContent = this.shape === 'drop specks' ? 'below radius' : 'by';
    };
    element('reshape').onclick = () => playback.addCommand(() => this.reshape(), true);
  }

  /** Disable the buttons that would change nothing on this frame. */
  show() {
    const { marks, shown: { frame, labels } } = state;
    element('copy-next').disabled = ![...labels?.presentIds ?? []].some(Boolean);
    element('back-to-tracked').disabled = !element('on-range').checked && !isDrawn(marks.get(selection.id)?.[frame]);
  }

  /** Frames to change: this one, or those of the range to track; undefined: refused, and the error is shown. */
  get frames() {
    const { frame } = playback;
    const { editable_range: [start, end] } = state.project;
    if (!element('on-range').checked) return { frame };
    const range = tracking.readRange();
    if (!range) return undefined;
    const { first = start, last = end } = range;
    if (first <= frame && frame <= last) return { frame: first, last };
    showMessage(`Frame ${frame} is outside frames ${first} to ${last}; untick “all frames From–To”.`, true);
    return undefined;
  }

  /** Change the outline of the selected object; by default as the fields say. @param {Shape} [shape] */
  async reshape(shape) {
    const field = element('shape-radius');
    if (!shape && !field.checkValidity()) {
      showMessage(`Radius: give a whole number from ${field.min} to ${field.max}.`, true);
      return;
    }
    const { frames } = this;
    const { project, target } = state;
    if (!frames) return;
    const how = shape ? { shape } : { shape: this.shape, radius: field.valueAsNumber };
    const message = /** @type {any} */ ({ ...frames, object_id: null, ...how });
    const answer = await queue.edit('reshape', message, target);
    const where = describeFrames(answer.result?.count ?? 0, frames);
    editHistory.offerUndo(answer, `${project.getName(target.id)}: ${how.shape} on ${where}`);
  }

  /** Remove the drawn masks of the selected object, so that tracked ones show. */
  async goBackToTracked() {
    const { frames } = this;
    const { project, target } = state;
    if (!frames) return;
    const message = /** @type {any} */ ({ ...frames, object_id: null });
    const answer = await queue.edit('back_to_tracked', message, target);
    const where = describeFrames(answer.result?.count ?? 0, frames);
    editHistory.offerUndo(answer, `${project.getName(target.id)}: drawn mask removed on ${where}`);
  }

  get shape() {
    return /** @type {Shape} */ (element('shape').value);
  }

  /** Show the outline that the fields would make. */
  async showPreview() {
    const { shape } = this;
    const { frame } = playback;
    const { id } = selection;
    const field = element('shape-radius');
    const message = { frame, object_id: id, shape, radius: field.valueAsNumber };
    const isShown = this.isPreviewed && id && field.checkValidity();
    const answer = isShown ? await connection.call('preview_shape', message).catch(() => null) : null;
    viewer.preview = (this.isPreviewed && answer?.result) || [];
    viewer.requestDraw();
  }

  /** Copy the masks of this frame as they are after the earlier edits. */
  async copy() {
    const copied = this.copied = { source: playback.frame, step: state.project.step };
    showHint(`Frame ${copied.source} copied; Ctrl+V pastes the selected object, Ctrl+Shift+V all objects.`);
    await queue.previous;
    copied.step = state.project.step;
  }

  /** Paste the copied masks. @param {boolean} isAll all objects, or only the selected one */
  async paste(isAll) {
    const { copied, frames } = this;
    if (copied.source < 0) showMessage('Copy the masks of a frame first (Ctrl+C).', true);
    else if (frames) await this.send({ ...frames, ...(!isAll && { object_id: null }) }, copied);
  }

  /** Copy the mask of the selected object to the next frame, and go there. */
  async copyToNext() {
    const { frame: source } = playback;
    const { actions, count, target } = state;
    const frame = source + 1;
    if (!target.id && !actions.size) showMessage('Select an object first.', true);
    else if (frame < count) {
      const sent = this.send({ frame, object_id: null }, { source }); // before the selection may change
      playback.seek(frame);
      await sent;
    }
  }

  /** Paste, and offer to take pixels that others kept. @param {PasteTarget} message
   * @param {{source: number, step?: number}} copied its step is known once the earlier edits are answered */
  async send(message, copied) {
    const { target } = state;
    const pending = { action: /** @type {const} */ ('paste_masks'), message: { ...message, ...copied }, target };
    const { step, result } = await queue.runInOrder(pending, (id) => (
      queue.send('paste_masks', /** @type {any} */ ({ ...message, ...copied }), target, id)));
    if (!step) return;
    const repeat = async () => {
      if (!(await editHistory.undo(step)).error) await this.send({ ...message, take: true }, copied);
    };
    const text = `Masks of frame ${copied.source} pasted on ${describeFrames(result?.count ?? 0, message)}`;
    showToast(joinSentences(text, result?.warning), {
      Undo: () => editHistory.undo(step), ...(result?.kept && { 'Take pixels of others': repeat }),
    }, step);
  }
}

export const maskEdits = new MaskEdits();
