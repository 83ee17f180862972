/** Boxes, clicks and scribbles on their way to the server, which answers with a mask. */

import { formatCount } from './dom.js';
import { CANCELED, showToast } from './messages.js';

/** @import { ActionAnswer } from './connection.js' */
/** @import { Actions } from './protocol.js' */
/** @import { Press } from './tools.js' */
/** @import { Click } from './viewer.js' */
/** @typedef {Partial<Actions['suggest']['message']>} Prompts */

export class Prompter {
  constructor(/** @type {import('./main.js').App} */ app) {
    this.app = app;
    this.pending = /** @type {Set<Press>} */ (new Set()); // presses whose prompt is neither answered nor canceled
    /** Clicks by the step of the last one. @type {Map<number, {frame: number, id: number, clicks: Click[]}>} */
    this.clicksByStep = new Map();
  }

  /** Return the clicks of the last step on an object of a frame, by default the selected one of this frame. */
  findClicks(frame = this.app.playback.frame, id = this.app.selection.id) {
    const last = this.clicksByStep.get(this.app.state.step);
    return last?.frame === frame && last.id === id ? last.clicks : [];
  }

  /** Undo the prompts on their way; return whether there were any. */
  cancel() {
    const hasPending = this.pending.size > 0;
    this.pending.clear();
    return hasPending;
  }

  /** Request a mask after the earlier edits. */
  send(/** @type {Press} */ pressed, /** @type {Prompts} */ prompts, /** @type {Click=} */ click) {
    const task = () => this.requestMask(pressed, prompts, click).finally(() => this.pending.delete(pressed));
    this.pending.add(pressed);
    return this.app.queue.runInOrder({ action: 'suggest', target: pressed.target }, task);
  }

  /** Request a mask. Away from the object's mask it makes a new object, unless the user adds it to this one. */
  async requestMask(/** @type {Press} */ pressed, /** @type {Prompts} */ prompts, /** @type {Click=} */ click) {
    const { history, queue, selection, toolbox } = this.app;
    const { frame, target } = pressed;
    if (!this.pending.has(pressed)) return { error: CANCELED };
    const previousId = target.id;
    const clicks = this.findClicks(frame, previousId);
    const answer = await queue.send('suggest', { ...prompts, frame, object_id: null }, target);
    if (answer.error) return answer;
    const { result: { object_id: id }, step } = answer;
    if (!this.pending.has(pressed)) return step ? queue.send('undo', { step }, target) : answer;
    const earlierClicks = id === previousId ? clicks : [];
    if (click && step) this.clicksByStep.set(step, { frame, id, clicks: [...earlierClicks, click] });
    if (previousId > 0 && id !== previousId && selection.id === previousId) selection.setSelected(id);
    this.offerChanges(answer, previousId, async (changes) => {
      const wasSelected = selection.target === target;
      if (step && (await history.undo(step)).error) return;
      if (wasSelected) selection.setSelected(previousId); // the undo may have selected another object
      const again = { ...pressed, target: wasSelected ? selection.target : { id: previousId } };
      await this.send(again, { ...prompts, ...changes }, click);
      toolbox.show();
    });
    return answer;
  }

  /** Offer to take the pixels that others kept, or to add the mask to the previous object; `repeat` sends it again.
   * @type {(answer: ActionAnswer<'suggest'>, previousId: number, repeat: (changes: Prompts) => unknown) => void} */
  offerChanges(answer, previousId, repeat) {
    const { app } = this;
    const { object_id: id, protected_pixels: protectedPixels } = answer.result;
    const step = answer.step || app.state.step; // the messages stay until the next one
    if (protectedPixels) showToast(`${formatCount(protectedPixels, 'pixel')} kept by other objects`, {
      'Take them': () => repeat({ overwrite: true }),
    }, step);
    if (previousId > 0 && id !== previousId) showToast(`Created ${app.getName(id)}`, {
      [`Add to ${app.getName(previousId)} instead`]: () => repeat({ extend: true, separate: false }),
      Undo: () => app.history.undo(step),
    }, step);
  }
}
