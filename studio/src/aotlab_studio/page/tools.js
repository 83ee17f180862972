/** Tools, the selected one and its unfinished input. Pointer and keyboard share press, move and release. */

import { createElement, createIcon, element, getPointer, focusViewIfLost, showKey } from './dom.js';
import { showHint, showMessage } from './messages.js';
import { Prompter } from './prompts.js';
import { getDistance, toPairs } from './viewer.js';

/** @import { ActionAnswer, ShownError } from './connection.js' */
/** @import { App } from './main.js' */
/** @import { Target } from './queue.js' */
/** @import { Click, Point, Sketch } from './viewer.js' */

/** What the user draws with a tool, from the press on; `erase`: it removes.
 * @typedef {{tool: Tool, frame: number, target: Target, erase: boolean, points: Point[]}} Stroke */
/** A stroke as it is shown; only clicks have `click`. `answerId`: the object that got the mask of a prompt.
 * @typedef {Sketch & Stroke & {click?: Click, answerId?: number}} Input */

/** A tool. `usesBrush`: a drag paints with the round brush. `makesPrompts`: the server answers its input with a mask,
 * and a double click isolates an object. `isPolygon`: its corners are drawn. `isClosedShape`: its outline is closed.
 * A tool without `release` acts when pressed; `shape` returns the outline of a drag.
 * @typedef {{name: string, key: string, icon: string, help: string, usesBrush?: boolean, erases?: boolean,
 *   makesPrompts?: boolean, isPolygon?: boolean, isClosedShape?: boolean,
 *   shape?: (points: Point[]) => Point[],
 *   press?: (toolbox: Toolbox, point: Point) => unknown,
 *   release?: (toolbox: Toolbox, stroke: Stroke) => unknown}} Tool */

const MIN_DISTANCE = 0.7; // of two points of a line, in pixels of the frame
const MAX_POINTS = 1500; // of a line; two messages fit into what a browser sends when the page closes
const CLOSE_DISTANCE = { mouse: 8, finger: 20 }; // CSS pixels from the first corner; a nearer click closes the polygon

/** @type {Tool[]} */
export const TOOLS = [
  {
    name: 'box', key: 'X', icon: 'square-dashed',
    help: 'Box: drag around an object; click to add to its mask, right-click or Shift to remove.',
    makesPrompts: true, isClosedShape: true,
    release: ({ prompter }, stroke) => prompter.sendBox(stroke),
    shape: ([a, ...others]) => others.slice(-1).flatMap((b) => [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }]),
  },
  {
    name: 'click', key: 'C', icon: 'mouse-pointer-click',
    help: 'Click: on an object, or to add to its mask; right-click or Shift to remove.',
    makesPrompts: true, press: ({ prompter, stroke }, point) => prompter.click(point, stroke),
  },
  {
    name: 'scribble', key: 'Z', icon: 'signature',
    help: 'Scribble: draw on an object or a missing part; right button or Shift to remove.',
    makesPrompts: true, release: ({ prompter }, stroke) => prompter.sendScribble(stroke),
  },
  {
    name: 'brush', key: 'B', icon: 'brush',
    help: 'Brush: draw on the object; Ctrl for a straight line. The wheel or the buttons − and + change the size.',
    usesBrush: true, release: (toolbox, stroke) => toolbox.send(stroke),
  },
  {
    name: 'eraser', key: 'E', icon: 'eraser', help: 'Eraser: remove pixels of the object; Ctrl for a straight line.',
    usesBrush: true, erases: true, release: (toolbox, stroke) => toolbox.send(stroke),
  },
  {
    name: 'lasso', key: 'L', icon: 'lasso', help: 'Lasso: drag around the object; Shift to remove.',
    isClosedShape: true, release: (toolbox, stroke) => { if (stroke.points.length > 2) toolbox.send(stroke); },
  },
  {
    name: 'polygon', key: 'P', icon: 'pentagon',
    help: 'Polygon: click corners, drag to move them; Enter or the first corner closes it; Shift to remove.',
    isPolygon: true, press: (toolbox, point) => toolbox.addCorner(point),
  },
  {
    name: 'reassign', key: 'O', icon: 'replace',
    help: 'Reassign: click a part of another object to give it to the selected one.',
    press: (toolbox, point) => toolbox.editMask('reassign', { point: toPairs([point])[0] }),
  },
  {
    name: 'split', key: 'G', icon: 'scissors',
    help: 'Split: click on a separate part of the object to make it a new one.',
    press: async (toolbox, point) => {
      const { selection, selection: { id } } = toolbox;
      const answer = await toolbox.editMask('split_object', { point: toPairs([point])[0] });
      if (!answer.error && selection.id === id) selection.setSelected(answer.result.object_id);
    },
  },
  {
    name: 'pan', key: 'H', icon: 'hand',
    help: 'Pan: drag the frame. With other tools, drag it with the middle button.',
  },
];
const PAN = TOOLS[TOOLS.length - 1];

export class Toolbox {
  /** @param {Pick<App, 'history' | 'playback' | 'project' | 'queue' | 'selection' | 'viewer'>} app parts */
  constructor({ history, playback, project, queue, selection, viewer }) {
    this.history = history;
    this.playback = playback;
    this.project = project;
    this.queue = queue;
    this.selection = selection;
    this.viewer = viewer;
    this.tool = TOOLS[0];
    this.drawingTool = this.tool; // last tool except pan; its unfinished input stays while the user pans
    this.draggedCorner = -1; // index of the polygon's corner that the pointer drags; -1: none
    this.radius = 12; // of the brush, in pixels of the frame
    /** Unfinished input, or the last one without its points. @type {Stroke} */
    this.stroke = { tool: this.tool, frame: 0, target: selection.target, erase: false, points: [] };
    /** Drag that began while its frame was loading, and what draws it there.
     * @type {{stroke: Stroke, draw: () => void} | null} */
    this.held = null;
    this.unanswered = /** @type {Set<Input>} */ (new Set()); // input that is neither answered nor canceled
    this.prompter = new Prompter(this, history, project);
    this.erasesByDefault = false; // whether tools remove unless Shift is held, for pens and touch
    element('subtract').after(...TOOLS.map(({ name, key, icon, help }) => {
      const values = { title: help, onclick: () => this.setTool(name) };
      const button = createElement('button', values, createIcon(icon), createElement('span', {}, name));
      button.dataset.tool = name;
      showKey(button, key);
      return button;
    }));
    this.showButtons();
  }

  toggleSubtract() {
    this.erasesByDefault = !this.erasesByDefault;
    this.showButtons();
  }

  findTool(/** @type {string} */ name) {
    return TOOLS.find((tool) => tool.name === name) ?? TOOLS[0];
  }

  setTool(/** @type {string} */ name) {
    const tool = this.findTool(name);
    if (this.isDrawn || ![PAN, this.drawingTool].includes(tool)) this.finish();
    this.tool = tool;
    if (tool !== PAN) this.drawingTool = tool;
    this.viewer.preview = [];
    showHint(tool.help);
    this.showButtons();
  }

  resizeBrush(/** @type {number} */ factor, minGrowth = 0) {
    if (this.isDrawn) return; // the size belongs to the whole stroke
    this.setRadius(factor > 1 ? Math.max(this.radius * factor, this.radius + minGrowth) : this.radius * factor);
  }

  setRadius(/** @type {number} */ radius) {
    this.radius = Math.min(300, Math.max(0.5, radius));
    this.showButtons();
  }

  /** Send the unfinished input if it is complete; drop it otherwise. A held drag goes on. */
  finish() {
    const { isDrawn, isClosable } = this;
    const stroke = this.takeStroke();
    if (isDrawn) stroke.tool.release?.(this, stroke);
    else if (isClosable) this.send(stroke);
    this.show();
  }

  /** End the drag of the pointer. A held one is drawn once its frame shows, after the input before it. */
  release() {
    const { held } = this;
    this.held = null;
    if (held) this.playback.addCommand(held.draw, true, held.stroke);
    else this.finish();
  }

  /** Return the unfinished input, which ends. */
  takeStroke() {
    const { stroke } = this;
    this.stroke = { ...stroke, points: [] };
    return stroke;
  }

  /** Drop unfinished input. */
  discard() {
    this.held = null;
    this.takeStroke();
    this.show();
  }

  /** Drop unfinished input, and cancel the prompts that are not answered; return whether there were any. */
  cancel() {
    const prompts = [...this.unanswered].filter(({ tool }) => tool.makesPrompts);
    const hasInput = this.hasInput || prompts.length > 0;
    for (const prompt of prompts) this.unanswered.delete(prompt);
    this.discard();
    return hasInput;
  }

  /** Sent input for the visible frame. */
  get sentInput() {
    return [...this.unanswered].filter(({ frame }) => frame === this.playback.frame);
  }

  /** Whether there is unfinished input. */
  get hasInput() {
    return this.held !== null || this.stroke.points.length > 0;
  }

  /** Whether a pointer or key is dragging. */
  get isDown() {
    return this.held !== null || this.isDrawn;
  }

  /** Whether the input is a drag on its frame; the points of other tools are corners. */
  get isDrawn() {
    return this.tool.release !== undefined && this.stroke.points.length > 0;
  }

  /** Whether the input is a polygon with enough corners. */
  get isClosable() {
    return this.stroke.tool.isPolygon && this.stroke.points.length > 2;
  }

  /** Remove the last corner or the unfinished stroke; return whether there was one. */
  stepBack() {
    const { points } = this.stroke;
    if (!points.length) return false;
    this.stroke.points = this.isDrawn ? [] : points.slice(0, -1);
    this.show();
    return true;
  }

  /** Press the tool with the pointer, or hold the drag until its frame shows: then it gets that frame, and the tool and
   * object of the keys before it. @param {Point} point @param {boolean} inverts @param {boolean} isEraser */
  press(point, inverts, isEraser = false) {
    const { playback } = this;
    if (!playback.isWaiting || !this.viewer.image) return this.begin(point, inverts, isEraser);
    const points = [point];
    const { drawingTool: tool, selection: { target } } = this;
    const erase = isEraser || inverts !== this.erasesByDefault;
    const draw = () => {
      this.begin(point, inverts, isEraser);
      for (const next of points.slice(1)) this.move(next);
      if (this.isDrawn) this.finish();
    };
    this.held = { stroke: { tool, frame: playback.wanted.frame, target, erase, points }, draw };
    return this.show();
  }

  /** Press the tool on the frame that shows. @param {Point} point
   * @param {boolean} inverts whether Shift or the right button is held, so that tools remove
   * @param {boolean} isEraser whether the pen's eraser is pressed, which always removes */
  begin(point, inverts, isEraser = false) {
    const { playback, tool } = this;
    if (!playback.isReady) {
      showMessage(`Frame ${playback.wanted.frame} has not loaded yet; nothing was drawn.`, true);
      return;
    }
    if (tool !== PAN) playback.stopAtShownFrame();
    const { points } = this.stroke;
    this.stroke = {
      tool: this.drawingTool,
      frame: playback.frame,
      target: this.selection.getEditTarget(),
      // the first corner of a polygon decides
      erase: points.length ? this.stroke.erase : isEraser || inverts !== this.erasesByDefault,
      points: tool.release ? [point] : points,
    };
    tool.press?.(this, point);
    this.show();
  }

  /** @param {Point} point @param {boolean} [isStraight] whether the drag is a straight line so far */
  move(point, isStraight = false) {
    if (isStraight) (this.held?.stroke ?? this.stroke).points.splice(1);
    const { held, stroke: { points, tool } } = this;
    if (held) held.stroke.points.push(point);
    else if (this.draggedCorner in points) points[this.draggedCorner] = point;
    else if (!this.isDrawn) return;
    else if (tool.shape || getDistance(point, points[points.length - 1]) >= MIN_DISTANCE) points.push(point);
    // a long line gets coarser
    if (points.length > MAX_POINTS) this.stroke.points = points.filter((_, index) => index % 2 === 0);
    this.show();
  }

  /** Add a corner, begin to drag the one at the point, or close the polygon at the first one. @param {Point} point */
  addCorner(point) {
    const { points, points: [first = point] } = this.stroke;
    const reach = CLOSE_DISTANCE[getPointer()] / this.viewer.zoom;
    this.draggedCorner = -1;
    if (this.isClosable && getDistance(point, first) < reach) {
      this.send(this.takeStroke());
      return;
    }
    this.draggedCorner = points.findIndex((corner) => getDistance(corner, point) < reach);
    if (this.draggedCorner < 0) points.push(point);
  }

  /** Send a stroke or an outline. @param {Stroke} stroke */
  send(stroke) {
    const { queue, radius } = this;
    const input = this.createInput(stroke);
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
    this.unanswered.add(input);
    this.show();
    const { error } = await answer;
    this.unanswered.delete(input);
    const { frame, target, tool, erase, points } = input;
    const isSameObject = frame === this.playback.frame && target === this.selection.target;
    const canRepeat = tool.isPolygon && tool === this.drawingTool && isSameObject && !this.stroke.points.length;
    if (error && canRepeat) this.stroke = { tool, frame, target, erase, points };
    this.show();
  }

  /** Return a stroke as it is shown. @param {Stroke} stroke @returns {Input} */
  createInput(stroke) {
    const { tool, points, erase } = stroke;
    const erases = tool.erases || (erase && tool.usesBrush);
    return {
      ...stroke,
      points: tool.shape?.(points) || points,
      width: tool.usesBrush ? 2 * this.radius : undefined,
      color: erases ? '#ffffff' : this.selection.item?.color || '#109898',
      clicks: this.prompter.findClicks(),
    };
  }

  /** Edit the selected object's mask on this frame; `values`: further fields of the message.
   * @type {<A extends 'mark_absent' | 'split_object' | 'reassign'>(action: A, values?: object)
   *   => Promise<ActionAnswer<A> | ShownError>} */
  editMask(action, values) {
    const { selection, playback: { frame }, queue } = this;
    return queue.edit(action, /** @type {any} */ ({ frame, object_id: null, ...values }), selection.getEditTarget());
  }

  /** Show which tool is selected, the size of its brush, and unfinished input. */
  showButtons() {
    const { tool, radius } = this;
    element('subtract').ariaPressed = String(this.erasesByDefault);
    for (const button of document.querySelectorAll('#tools [data-tool]')) {
      button.ariaPressed = String(button.getAttribute('data-tool') === tool.name);
    }
    element('sizes').hidden = !tool.usesBrush;
    this.viewer.cursorRadius = tool.usesBrush ? radius : 0;
    element('brush-size').textContent = `${radius.toFixed(radius < 10 ? 1 : 0)} px`;
    this.show();
  }

  /** Show the unfinished input, and whether *Undo* would remove a part of it or undo a step. */
  show() {
    const canUndo = this.stroke.points.length > 0 || this.unanswered.size > 0 || this.history.canUndo;
    const { project: { frozen, read_only: isReadOnly, editable_range: [first, last] }, playback: { frame } } = this;
    const isFixed = isReadOnly || frozen.includes(frame) || frame < first || frame > last;
    for (const button of document.querySelectorAll('#tools [data-tool]:not([data-tool=pan])')) {
      button.ariaDisabled = String(isFixed); // a press shows why
    }
    if (element('undo').disabled === canUndo) focusViewIfLost(() => { element('undo').disabled = !canUndo; });
    const answered = element('prompts').checked ? this.prompter.listAnswered(this.playback.frame) : [];
    const { commands } = this.playback;
    const otherIndex = commands.findIndex(({ stroke }) => !stroke); // the strokes behind it may be for other frames
    const waiting = commands.slice(0, otherIndex < 0 ? undefined : otherIndex).flatMap(({ stroke }) => stroke ?? []);
    const strokes = [...waiting, this.held?.stroke ?? [], this.stroke].flat().map((stroke) => this.createInput(stroke));
    this.viewer.sketches = [...answered, ...this.sentInput, ...strokes];
    this.viewer.requestDraw();
  }
}
