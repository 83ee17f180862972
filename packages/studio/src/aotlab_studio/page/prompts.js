/** Boxes, clicks and scribbles, which the server answers with a mask. */

import { editHistory } from './history.js';
import { toolbox } from './input.js';
import { CANCELED, showMessage, showToast } from './messages.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state } from './store.js';
import { toPairs, viewer } from './viewer.js';

/** @import { Actions } from './protocol.js' */
/** @import { Input, Stroke } from './store.js' */
/** @import { Click, Point } from './viewer.js' */
/** @typedef {Actions['segment']['message']} Message */
/** @typedef {Partial<Message>} Prompts */

const MIN_BOX_EDGE = { frame: 2, css: 4 }; // pixels of the frame, CSS pixels; a smaller box is a click
const SCRIBBLE_STEP = 8; // points of a removing scribble for each negative click

class Prompter {
  /** Request a mask of the drawn box; a small one is a click. @param {Stroke} stroke */
  sendBox(stroke) {
    const { points: [first, ...others], erase } = stroke;
    const last = others.pop() ?? first;
    const [width, height] = [Math.abs(first.x - last.x), Math.abs(first.y - last.y)].map((edge) => Math.max(1, edge));
    const minEdge = Math.max(MIN_BOX_EDGE.frame, MIN_BOX_EDGE.css / viewer.zoom);
    if (Math.max(width, height) <= minEdge) this.click(first, stroke);
    else if (Math.min(width, height) < MIN_BOX_EDGE.frame) showMessage('The box is too thin; draw a wider one.', true);
    else if (erase) showMessage('A box only adds. To remove, right-click or use the lasso with Shift.', true);
    else this.segment(stroke, { box: [Math.min(first.x, last.x), Math.min(first.y, last.y), width, height] });
  }

  /** Request a mask of the scribble, or correct one along it; a short one is a click. @param {Stroke} stroke */
  sendScribble(stroke) {
    const { points, erase } = stroke;
    const { size } = viewer;
    const line = points.filter(({ x, y }) => x >= 0 && y >= 0 && x < size.width && y < size.height);
    if (line.length < 2) this.click(line[0] ?? points[0], stroke);
    else if (!erase) this.segment(stroke, { scribble: toPairs(line) });
    else this.segment(stroke, { negative: toPairs(line.filter((_, index) => index % SCRIBBLE_STEP === 0)) });
  }

  /** Request or correct a mask, or select the object there. @param {Point} point @param {Stroke} stroke */
  click(point, stroke) {
    const positive = !stroke.erase;
    const other = positive && viewer.findVisibleId(point);
    if (other) {
      toolbox.select(other);
      showMessage(`${state.project.getName(other)} is selected.`);
    } else {
      const prompts = { [positive ? 'positive' : 'negative']: toPairs([point]) };
      this.segment({ ...stroke, points: [] }, prompts, { point, positive });
    }
  }

  /** Request a mask of a stroke. @param {Stroke} stroke @param {Prompts} prompts @param {Click} [click] */
  segment(stroke, prompts, click) {
    const input = { ...toolbox.createInput(stroke), clicks: click ? [click] : [] };
    this.send(input, { ...prompts, keep_others: toolbox.keepsOthers, mode: 'auto' });
  }

  /** Request a mask after the earlier edits. */
  send(/** @type {Input} */ input, /** @type {Prompts} */ prompts) {
    const { unanswered } = state;
    const message = { ...prompts, frame: input.frame, object_id: null };
    const answer = queue.runInOrder(
      { action: 'segment', message, target: input.target, isCanceled: () => !unanswered.has(input) },
      (id) => this.requestMask(input, message, id));
    return toolbox.showUntilAnswered(input, answer);
  }

  /** Request a mask. Away from the object's mask it makes a new object, unless the user adds it to this one. */
  async requestMask(/** @type {Input} */ input, /** @type {Message} */ message, /** @type {number} */ messageId) {
    const { unanswered } = state;
    const { target } = input;
    if (!unanswered.has(input)) return { error: CANCELED };
    const previousId = target.id;
    const answer = await queue.send('segment', message, target, messageId);
    if (answer.error) return answer;
    const { result: { object_id: id }, step } = answer;
    input.answerId = id;
    if (!unanswered.has(input)) { // canceled
      const undone = step ? await queue.send('undo', { step }, target) : answer;
      if (!undone.error) selection.updateTarget(target, previousId);
      return undone;
    }
    if (previousId > 0 && id !== previousId) this.offerToAdd(input, message, previousId, id, step);
    return answer;
  }

  /** Offer to add the mask of a new object to the previous one instead.
   * @type {(input: Input, message: Message, previousId: number, id: number, step: number) => void} */
  offerToAdd(input, message, previousId, id, step) {
    const { project } = state;
    const add = async () => {
      if ((await editHistory.undo(step)).error) return;
      selection.setSelected(previousId); // the undo may have selected another object
      await this.send({ ...input, target: state.target, answerId: undefined }, { ...message, mode: 'extend' });
    };
    showToast(`Created ${project.getName(id)}`, {
      [`Add to ${project.getName(previousId)} instead`]: add, Undo: () => editHistory.undo(step),
    }, step);
  }
}

export const prompter = new Prompter();
