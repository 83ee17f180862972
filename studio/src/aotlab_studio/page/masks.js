/** Masks of whole frames: copied to other frames, or given other outlines. */

import { connection } from './connection.js';
import { CoalescedTask, element, elements, focusViewIfLost, formatCount } from './dom.js';
import { editHistory } from './history.js';
import { showHint, showMessage, showToast } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe } from './store.js';
import { isDrawn } from './timeline.js';
import { tracking } from './tracking.js';
import { viewer } from './viewer.js';

/** @import { Actions } from './protocol.js' */
/** @typedef {Actions['reshape']['message']['shape']} Shape */

class MaskEdits {
  constructor() {
    this.copiedFrame = -1; // whose masks are pasted; -1: none
    this.isPreviewed = false;
    this.previewTask = new CoalescedTask(() => this.showPreview());
    for (const field of elements('shape', 'shape-radius')) {
      field.onfocus = field.oninput = () => { this.isPreviewed = true; this.previewTask.run(); };
      field.onblur = () => { this.isPreviewed = false; this.previewTask.run(); };
    }
    subscribe(['shown', 'marks'], () => focusViewIfLost(() => this.show()));
    selection.subscribe(() => focusViewIfLost(() => this.show()));
    element('on-range').onchange = () => this.show();
    element('reshape').onclick = () => playback.addCommand(() => this.reshape(), true);
  }

  /** Disable the buttons that would change nothing on this frame. */
  show() {
    const { marks, shown: { frame, labels } } = state;
    element('copy').disabled = element('copy-next').disabled = ![...labels?.presentIds ?? []].some(Boolean);
    element('paste').disabled = this.copiedFrame < 0;
    element('back-to-tracked').disabled = !element('on-range').checked && !isDrawn(marks.get(selection.id)?.[frame]);
  }

  /** Frames to change: this one, or those of the range to track; undefined: the range is invalid. */
  get frames() {
    const { frame } = playback;
    const { editable_range: [start, end] } = state.project;
    if (!element('on-range').checked) return { frame };
    const range = tracking.readRange();
    return range && { frame: range.first ?? start, last: range.last ?? end };
  }

  /** Change the outline of the selected object; by default as the fields say. @param {Shape} [shape] */
  async reshape(shape) {
    const { frames } = this;
    const { project, target } = state;
    const { id } = selection;
    if (!frames) return;
    const how = shape ? { shape } : { shape: this.shape, radius: element('shape-radius').valueAsNumber || 1 };
    const message = /** @type {any} */ ({ ...frames, object_id: null, ...how });
    const answer = await queue.edit('reshape', message, target);
    const { count = 0, warning = '' } = answer.result ?? {};
    const text = `${project.getName(id)}: ${how.shape} on ${formatCount(count, 'frame')}`;
    editHistory.offerUndo(answer, warning ? `${text}. ${warning}` : text);
  }

  /** Remove the drawn masks of the selected object, so that tracked ones show. */
  async goBackToTracked() {
    const { frames } = this;
    const { item } = selection;
    const { target } = state;
    if (!frames) return;
    const message = /** @type {any} */ ({ ...frames, object_id: null });
    const answer = await queue.edit('back_to_tracked', message, target);
    const count = formatCount(answer.result?.count ?? 0, 'frame');
    editHistory.offerUndo(answer, `${item?.name}: drawn mask removed on ${count}`);
  }

  get shape() {
    return /** @type {Shape} */ (element('shape').value);
  }

  /** Show the outline that the fields would make. */
  async showPreview() {
    const { shape } = this;
    const { frame } = playback;
    const { id } = selection;
    const radius = element('shape-radius').valueAsNumber || 1;
    const message = { frame, object_id: id, shape, radius };
    const answer = this.isPreviewed && id ? await connection.call('preview_shape', message).catch(() => null) : null;
    viewer.preview = (this.isPreviewed && answer?.result) || [];
    viewer.requestDraw();
  }

  copy() {
    this.copiedFrame = playback.frame;
    this.show();
    showHint(`Frame ${this.copiedFrame} copied; Ctrl+V pastes the selected object, Ctrl+Shift+V all objects.`);
  }

  /** Paste the copied masks. @param {boolean} isAll all objects, or only the selected one */
  async paste(isAll) {
    const { copiedFrame: source, frames } = this;
    const { id } = selection;
    if (source < 0) showMessage('Copy the masks of a frame first (Ctrl+C).', true);
    else if (!isAll && !id) showMessage('Select an object first, or paste all objects (Ctrl+Shift+V).', true);
    else if (frames) await this.send({ source, ...frames, object_id: isAll ? undefined : id });
  }

  /** Copy the mask of the selected object, or all masks, to the next frame, and go there. */
  async copyToNext() {
    const { frame: source } = playback;
    const { id } = selection;
    const frame = source + 1;
    if (frame >= state.count) return;
    playback.seek(frame);
    await this.send({ source, frame, object_id: id || undefined });
  }

  /** Paste, and offer to take pixels that others kept. @param {Actions['paste_masks']['message']} message */
  async send(message) {
    const answer = await queue.edit('paste_masks', message);
    const { step, result } = answer;
    if (!step) return;
    const repeat = async () => {
      if (!(await editHistory.undo(step)).error) await this.send({ ...message, take: true });
    };
    showToast(`Masks of frame ${message.source} pasted on ${formatCount(result?.count ?? 0, 'frame')}`, {
      Undo: () => editHistory.undo(step), ...(!message.take && { 'Take pixels of others': repeat }),
    }, step);
  }
}

export const maskEdits = new MaskEdits();
