/** Unfinished input of the tools. Pointer and keyboard share press, move and release. */

import { element, focusViewIfLost, getPointer } from './dom.js';
import { editHistory } from './history.js';
import { showMessage } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe, update } from './store.js';
import { getDistance, toPairs, viewer } from './viewer.js';

/** @import { ActionAnswer, ShownError } from './connection.js' */
/** @import { Input, Stroke } from './store.js' */
/** @import { Point } from './viewer.js' */

const MIN_DISTANCE = 0.7; // of two points of a line, in pixels of the frame
const MAX_POINTS = 1500; // of a line; two messages fit into what a browser sends when the page closes
/** CSS pixels from a corner within which a press is on it; on the first one, it closes the polygon. */
export const CLOSE_DISTANCE = { mouse: 8, finger: 20 };

class Toolbox {
  constructor() {
    this.draggedCorner = -1; // index of the polygon's corner that the pointer drags; -1: none
    this.lineStart = Infinity; // index of the drag's point that the pointer moves in a straight line; Infinity: none
    this.lastEnd = { frame: -1, point: { x: 0, y: 0 } }; // of the last stroke of the brush or eraser
    subscribe(['wanted'], () => this.finish());
    const names = /** @type {const} */ (['project', 'shown', 'target', 'stroke', 'held', 'commands', 'unanswered',
      'outlines', 'radius', 'tool']);
    subscribe([...names], () => this.show());
  }

  resizeBrush(/** @type {number} */ factor, minGrowth = 0) {
    const { radius } = state;
    if (this.isDrawn) return; // the size belongs to the whole stroke
    this.setRadius(factor > 1 ? Math.max(radius * factor, radius + minGrowth) : radius * factor);
  }

  setRadius(/** @type {number} */ radius) {
    update({ radius: Math.min(300, Math.max(0.5, radius)) });
  }

  /** Send the unfinished input if it is complete; drop it otherwise. A held drag goes on. */
  finish() {
    const { isDrawn, isClosable } = this;
    const stroke = this.takeStroke();
    if (isDrawn) stroke.tool.release?.(stroke);
    else if (isClosable) this.send(stroke);
  }

  /** End the drag of the pointer. A held one is drawn once its frame shows, after the input before it. */
  release() {
    if (state.held) playback.releaseHeld();
    else this.finish();
  }

  /** Return the unfinished input, which ends. */
  takeStroke() {
    const { stroke } = state;
    update({ stroke: { ...stroke, points: [] } });
    return stroke;
  }

  /** Drop unfinished input. */
  discard() {
    update({ held: null });
    this.takeStroke();
  }

  /** Drop unfinished input, and cancel the prompts that are not answered; return whether there were any. */
  cancel() {
    const prompts = [...state.unanswered].filter(({ tool }) => tool.makesPrompts);
    const hasInput = playback.hasInput || prompts.length > 0;
    for (const prompt of prompts) state.unanswered.delete(prompt);
    this.discard();
    return hasInput;
  }

  /** Sent input for the visible frame. */
  get sentInput() {
    return [...state.unanswered].filter(({ frame }) => frame === playback.frame);
  }

  /** Whether a pointer or key is dragging. */
  get isDown() {
    return state.held !== null || this.isDrawn;
  }

  /** Whether the input is a drag on its frame; the points of other tools are corners. */
  get isDrawn() {
    return state.tool.release !== undefined && state.stroke.points.length > 0;
  }

  /** Whether the input is a polygon with enough corners. */
  get isClosable() {
    return state.stroke.tool.isPolygon && state.stroke.points.length > 2;
  }

  /** Remove the last corner or the unfinished stroke; return whether there was one. */
  stepBack() {
    const { stroke, stroke: { points } } = state;
    if (!points.length) return false;
    update({ stroke: { ...stroke, points: this.isDrawn ? [] : points.slice(0, -1) } });
    return true;
  }

  /** Press the tool with the pointer, or hold the drag until its frame shows: then it gets that frame, and the tool and
   * object of the keys before it. @param {Point} point @param {boolean} inverts @param {boolean} isEraser */
  press(point, inverts, isEraser = false) {
    this.lineStart = Infinity;
    if (!playback.isWaiting || !state.shown.image) return this.begin(point, inverts, isEraser);
    const points = [point];
    const { drawingTool: tool, target, wanted: { frame } } = state;
    const stroke = /** @type {Stroke} */ ({ tool, frame, target, erase: isEraser || inverts, points });
    const draw = () => { // perhaps while the pointer already drags for the next frame, which `held` has
      this.begin(point, inverts, isEraser);
      for (const next of points.slice(1)) this.extend(next);
      if (!this.isDrawn) return;
      state.stroke.isJoined = stroke.isJoined;
      this.finish();
    };
    return update({ held: { stroke, draw } });
  }

  /** Press the tool on the frame that shows. @param {Point} point
   * @param {boolean} inverts whether Shift or the right button is held, so that tools remove
   * @param {boolean} isEraser whether the pen's eraser is pressed, which always removes */
  begin(point, inverts, isEraser = false) {
    const { drawingTool, tool, wanted } = state;
    if (!playback.isReady) {
      showMessage(`Frame ${wanted.frame} has not loaded yet; nothing was drawn.`, true);
      return;
    }
    if (tool.name !== 'pan') playback.stopAtShownFrame();
    const { points, erase } = state.stroke;
    update({ stroke: {
      tool: drawingTool,
      frame: playback.frame,
      target: selection.getEditTarget(),
      // the first corner of a polygon decides
      erase: points.length ? erase : isEraser || inverts,
      points: tool.release ? [point] : points,
    } });
    tool.press?.(point, inverts);
  }

  /** Move the pointer that is pressed. @param {Point} point
   * @param {boolean} [isStraight] whether it draws a straight line from where the drag was when it began to */
  move(point, isStraight = false) {
    const { held, stroke } = state;
    const { points } = held?.stroke ?? stroke;
    this.lineStart = isStraight ? Math.min(this.lineStart, points.length) : Infinity;
    points.splice(this.lineStart);
    if (held) points.push(point);
    else this.extend(point);
    update({ held, stroke });
  }

  /** Add a point to the unfinished stroke, or drag its corner. @param {Point} point */
  extend(point) {
    const { stroke, stroke: { points, tool } } = state;
    const isDistant = tool.shape || getDistance(point, points[points.length - 1] ?? point) >= MIN_DISTANCE;
    if (this.draggedCorner in points) points[this.draggedCorner] = point;
    else if (this.isDrawn && isDistant) points.push(point);
    // a long line gets coarser
    if (points.length > MAX_POINTS) stroke.points = points.filter((_, index) => index % 2 === 0);
  }

  /** Let the drag begin at the end of the last stroke on its frame. */
  joinLastStroke() {
    (state.held?.stroke ?? state.stroke).isJoined = true;
  }

  /** Add a corner, remove or begin to drag the one at the point, or close the polygon at the first one.
   * @param {Point} point @param {boolean} removes */
  addCorner(point, removes) {
    const { stroke, stroke: { points, points: [first = point] } } = state;
    const reach = CLOSE_DISTANCE[getPointer()] / viewer.zoom;
    this.draggedCorner = -1;
    const corner = points.findIndex((each) => getDistance(each, point) < reach);
    if (removes && corner >= 0) points.splice(corner, 1);
    else if (this.isClosable && getDistance(point, first) < reach) {
      this.send(this.takeStroke());
      return;
    } else if (corner < 0) points.push(point);
    else this.draggedCorner = corner;
    update({ stroke });
  }

  /** Send a stroke or an outline. @param {Stroke} stroke */
  send(stroke) {
    const { radius } = state;
    const { isJoined, points: line } = stroke;
    const isLine = stroke.tool.usesBrush && isJoined && this.lastEnd.frame === stroke.frame;
    const input = this.createInput({ ...stroke, points: isLine ? [this.lastEnd.point, ...line] : line });
    if (stroke.tool.usesBrush) this.lastEnd = { frame: stroke.frame, point: line[line.length - 1] };
    const { frame, target, erase, points, tool } = input;
    const keptOthers = { keep_others: this.keepsOthers };
    const message = { frame, object_id: null, points: toPairs(points), erase: tool.erases || erase, ...keptOthers };
    this.showUntilAnswered(input, tool.usesBrush
      ? queue.edit('paint', { ...message, radius }, target) : queue.edit('fill_polygon', message, target));
  }

  /** Whether the user has chosen that other objects keep their pixels. */
  get keepsOthers() {
    return element('only-selected').checked;
  }

  /** Show sent input until it is answered; a refused polygon can be sent again.
   * @param {Input} input @param {Promise<{error?: Error}>} answer */
  async showUntilAnswered(input, answer) {
    const { unanswered } = state;
    update({ unanswered: unanswered.add(input) });
    const { error } = await answer;
    unanswered.delete(input);
    const { frame, target, tool, erase, points } = input;
    const isSameObject = frame === playback.frame && target === state.target;
    const canRepeat = tool.isPolygon && tool === state.drawingTool && isSameObject && !state.stroke.points.length;
    update({ unanswered, ...(error && canRepeat && { stroke: { tool, frame, target, erase, points } }) });
  }

  /** Return a stroke as it is shown. @param {Stroke} stroke @returns {Input} */
  createInput(stroke) {
    const { tool, points, erase } = stroke;
    const erases = tool.erases || (erase && tool.usesBrush);
    return {
      ...stroke,
      points: tool.shape?.(points) || points,
      width: tool.usesBrush ? 2 * state.radius : undefined,
      color: erases ? '#ffffff' : selection.item?.color || '#109898',
      clicks: [],
    };
  }

  /** Edit the selected object's mask on this frame; `values`: further fields of the message.
   * @type {<A extends 'mark_absent' | 'split_object' | 'reassign'>(action: A, values?: object)
   *   => Promise<ActionAnswer<A> | ShownError>} */
  editMask(action, values) {
    const { frame } = playback;
    return queue.edit(action, /** @type {any} */ ({ frame, object_id: null, ...values }), selection.getEditTarget());
  }

  /** Finish the input for another object, and select this one. @param {number} id */
  select(id) {
    if (id !== selection.id) this.finish();
    selection.setSelected(id);
  }

  /** Show the size of the brush, the unfinished input, and whether *Undo* would remove a part of it or undo a step. */
  show() {
    const { commands, held, outlines, project, radius, stroke, tool, unanswered } = state;
    const { read_only: isReadOnly, editable_range: [first, last] } = project;
    const { frame } = playback;
    const canUndo = stroke.points.length > 0 || unanswered.size > 0 || editHistory.canUndo;
    const isFixed = isReadOnly || frame < first || frame > last;
    for (const button of document.querySelectorAll('#tools [data-tool]:not([data-tool=pan])')) {
      button.ariaDisabled = String(isFixed); // a press shows why
    }
    if (element('undo').disabled === canUndo) focusViewIfLost(() => { element('undo').disabled = !canUndo; });
    viewer.cursorRadius = tool.usesBrush ? radius : 0;
    element('brush-size').textContent = `${radius.toFixed(radius < 10 ? 1 : 0)} px`;
    const otherIndex = commands.findIndex((command) => !command.stroke); // strokes behind it may be for other frames
    const ready = commands.slice(0, otherIndex < 0 ? undefined : otherIndex);
    const strokes = [...ready, held ?? [], { stroke }].flat().flatMap((each) => each.stroke ?? []);
    const corners = outlines.map((points) => ({ tool, points, color: '#ffffff', clicks: [] }));
    viewer.sketches = [...corners, ...this.sentInput, ...strokes.map((each) => this.createInput(each))];
    viewer.requestDraw();
  }
}

export const toolbox = new Toolbox();
