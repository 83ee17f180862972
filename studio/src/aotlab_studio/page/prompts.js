/** Boxes, clicks and scribbles, which the server answers with a mask. */

import { formatCount } from './dom.js';
import { editHistory } from './history.js';
import { findClicks, toolbox } from './input.js';
import { CANCELED, showMessage, showToast } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe, update } from './store.js';
import { toPairs, viewer } from './viewer.js';

/** @import { ActionAnswer } from './connection.js' */
/** @import { Actions } from './protocol.js' */
/** @import { Input, Stroke } from './store.js' */
/** @import { Click, Point } from './viewer.js' */
/** @typedef {Actions['segment']['message']} Message */
/** @typedef {Partial<Message>} Prompts */

const MIN_BOX_EDGE = { frame: 2, css: 4 }; // pixels of the frame, CSS pixels; a smaller box is a click
const MAX_STORED = 200; // prompts of a project that the browser keeps
const SCRIBBLE_STEP = 8; // points of a removing scribble for each negative click

class Prompter {
  constructor() {
    this.previousStep = /** @type {number | undefined} */ (undefined); // last step that is not undone
    this.lastStep = 0; // largest number of a step so far
    subscribe(['project'], () => this.updateStep(state.project.step));
  }

  /** Forget the prompts that were undone before a new step, as no redo brings them back. @param {number} step */
  updateStep(step) {
    const { lastStep, previousStep = step } = this;
    this.lastStep = Math.max(lastStep, step);
    this.previousStep = step;
    if (step > lastStep) update({ answered: state.answered.filter((prompt) => prompt.step <= previousStep) });
  }

  /** Return the latest answered prompts as JSON can store them. */
  listStored() {
    return state.answered.slice(-MAX_STORED).map((prompt) => ({ ...prompt, tool: prompt.tool.name }));
  }

  /** Undo the last click on the selected object, also one that is not answered yet. */
  undoClick() {
    const { frame } = playback;
    editHistory.undoOrRedo('undo', () => (findClicks(frame).length ? { step: state.project.step } : undefined));
  }

  /** Request a mask of the drawn box; a small one is a click. @param {Stroke} stroke */
  sendBox(stroke) {
    const { points: [first, ...others], erase } = stroke;
    const last = others.pop() ?? first;
    const [width, height] = [Math.abs(first.x - last.x), Math.abs(first.y - last.y)].map((edge) => Math.max(1, edge));
    const minEdge = Math.max(MIN_BOX_EDGE.frame, MIN_BOX_EDGE.css / viewer.zoom);
    if (Math.max(width, height) <= minEdge) this.click(first, stroke);
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
    const input = toolbox.createInput(stroke);
    const clicks = click ? [...input.clicks, click] : input.clicks;
    const keep = toolbox.keepsOthers ? 'all' : 'drawn';
    this.send({ ...input, clicks, click }, { ...prompts, keep, mode: 'auto' });
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
    const { clicksByStep, unanswered } = state;
    const { click, frame, target } = input;
    if (!unanswered.has(input)) return { error: CANCELED };
    const previousId = target.id;
    const clicks = findClicks(frame, previousId);
    const answer = await queue.send('segment', message, target, messageId);
    if (answer.error) return answer;
    const { result: { object_id: id }, step } = answer;
    input.answerId = id;
    if (!unanswered.has(input)) return step ? queue.send('undo', { step }, target) : answer;
    const earlierClicks = id === previousId ? clicks : [];
    if (step) update({ answered: [...state.answered, { ...input, clicks: click ? [click] : [], step, id }] });
    if (click && step) clicksByStep.set(step, { frame, id, clicks: [...earlierClicks, click] });
    if (previousId > 0 && id !== previousId && selection.id === previousId) selection.setSelected(id);
    this.offerChanges(answer, previousId, async (changes, intoId = previousId) => {
      const wasSelected = state.target === target;
      if (step && (await editHistory.undo(step)).error) return;
      if (wasSelected) selection.setSelected(intoId); // the undo may have selected another object
      const again = { ...input, target: wasSelected ? state.target : { id: intoId } };
      await this.send(again, { ...message, ...changes });
    });
    return answer;
  }

  /** Offer to take the pixels that others kept, to make a new object instead of replacing a mask, or to add the mask
   * to the previous object; `repeat` sends it again, for an object, 0: a new one.
   * @type {(answer: ActionAnswer<'segment'>, previousId: number,
   *   repeat: (changes: Prompts, intoId?: number) => unknown) => void} */
  offerChanges(answer, previousId, repeat) {
    const { project } = state;
    const { object_id: id, kept_pixels: kept, replaced_sizes: replaced } = answer.result;
    const step = answer.step || project.step; // the messages stay until the next one
    const texts = Object.entries(kept).map(([other, count]) => (
      `${formatCount(count, 'pixel')} kept by ${project.getName(Number(other))}`));
    if (texts.length) showToast(texts.join(', '), { 'Take them': () => repeat({ keep: 'none' }) }, step);
    if (replaced) showToast(`${project.getName(id)} was replaced (${replaced[0]} to ${replaced[1]} pixels)`, {
      Undo: () => editHistory.undo(step), 'New object': () => repeat({}, 0),
    }, step);
    if (previousId > 0 && id !== previousId) showToast(`Created ${project.getName(id)}`, {
      [`Add to ${project.getName(previousId)} instead`]: () => repeat({ mode: 'extend' }),
      Undo: () => editHistory.undo(step),
    }, step);
  }
}

export const prompter = new Prompter();
