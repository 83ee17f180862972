/** Tools, the selected one and its unfinished input. Pointer and keyboard share press, move and release. */

import { toPairs } from './connection.js';
import { formatCount, showMessage, showToast } from './dom.js';
import { findId } from './frames.js';

/** @import { Actions } from './protocol.js' */
/** @import { ClickMark, Point, Sketch } from './viewer.js' */

/**
 * A tool of the page; `TOOLS` lists all.
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} key
 * @property {string} icon
 * @property {string} help
 * @property {boolean} [actsOnPress] whether a press is used at once, and no drag follows
 * @property {boolean} [usesBrush] whether it draws with the round brush
 * @property {boolean} [erases]
 * @property {boolean} [makesPrompts] whether its input is a prompt, and a double click isolates an object
 * @property {(toolbox: Toolbox, point: Point) => unknown} [press]
 * @property {(toolbox: Toolbox, point: Point) => void} [move] appends a point to a free line if not given
 * @property {(toolbox: Toolbox) => unknown} [release]
 * @property {(toolbox: Toolbox) => unknown} [close]
 * @property {(toolbox: Toolbox) => {points: Point[], closed: boolean, corners: boolean}} [shape] outline of input
 */

/** Smallest edge of a box in pixels of the frame (the server's) and in CSS pixels; a smaller drag is a click. */
const MIN_BOX_EDGE = { frame: 2, css: 4 };
/** Points of a scribble between two clicks beside the object. */
const SCRIBBLE_STEP = 8;
/** CSS pixels from the first corner within which a click closes the polygon. */
const CLOSE_DISTANCE = 8;

/** @type {Tool[]} */
export const TOOLS = [
  {
    name: 'box', key: 'X', icon: 'square-dashed',
    help: 'Box: drag around an object; click to add to its mask, right-click or Shift to remove.',
    makesPrompts: true,
    move: (toolbox, point) => { toolbox.points = [toolbox.points[0], point]; },
    release: (toolbox) => releaseBox(toolbox, toolbox.points[0], toolbox.points[toolbox.points.length - 1]),
    shape: ({ points: [a, b] }) => ({
      points: a && b ? [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }] : [], closed: true, corners: false,
    }),
  },
  {
    name: 'click', key: 'C', icon: 'mouse-pointer-click',
    help: 'Click: on an object, or to add to its mask; right-click or Shift to remove.',
    makesPrompts: true, actsOnPress: true,
    press: (toolbox, point) => releaseMark(toolbox, point),
  },
  {
    name: 'scribble', key: 'Z', icon: 'signature',
    help: 'Scribble: draw on an object or a missing part; right button or Shift to remove.',
    makesPrompts: true,
    release: (toolbox) => releaseScribble(toolbox, toolbox.points),
  },
  { name: 'brush', key: 'B', icon: 'brush', help: 'Brush: draw on the object. The wheel or [ ] changes the size.', usesBrush: true, release: sendStroke },
  { name: 'eraser', key: 'E', icon: 'eraser', help: 'Eraser: remove pixels of the object.', usesBrush: true, erases: true, release: sendStroke },
  {
    name: 'lasso', key: 'L', icon: 'lasso',
    help: 'Lasso: drag around the object; Shift to remove.',
    release: (toolbox) => (toolbox.points.length > 2 ? sendOutline(toolbox) : toolbox.dropPoints()),
    shape: ({ points }) => ({ points, closed: true, corners: false }),
  },
  {
    name: 'polygon', key: 'P', icon: 'pentagon',
    help: 'Polygon: click corners; Enter or the first corner closes it; Shift to remove.',
    actsOnPress: true,
    press: (toolbox, point) => (closesOutline(toolbox, point) ? sendOutline(toolbox) : toolbox.points.push(point)),
    close: (toolbox) => (toolbox.points.length > 2 ? sendOutline(toolbox) : undefined),
    shape: ({ points }) => ({ points, closed: false, corners: true }),
  },
  {
    name: 'reassign', key: 'O', icon: 'replace',
    help: 'Reassign: click a part of another object to give it to the selected one.',
    actsOnPress: true,
    press: async ({ app, viewer }, point) => {
      const [other, target] = [findId(viewer.labels, point), app.selection.id];
      const answer = await app.editMask('reassign', { point: toPairs([point])[0] });
      app.history.offerUndo(answer, `Part of ${app.getName(other)} moved to ${app.getName(target)}`);
    },
  },
  {
    name: 'split', key: 'G', icon: 'scissors',
    help: 'Split: click on a separate part of the object to make it a new one.',
    actsOnPress: true,
    press: async ({ app, app: { selection, selection: { id } } }, point) => {
      const answer = await app.editMask('split_object', { point: toPairs([point])[0] });
      if (!answer.error) selection.selectNew(answer.result.object_id, id);
    },
  },
  { name: 'pan', key: 'H', icon: 'hand', help: 'Pan: drag the frame. With other tools, drag it with the middle button.', actsOnPress: true },
];
const PAN = TOOLS[TOOLS.length - 1];

/**
 * Handle a box: make a mask of it; a small one is a click.
 * @param {Toolbox} toolbox
 * @param {Point} first
 * @param {Point} last
 */
async function releaseBox(toolbox, first, last) {
  /** @type {[number, number, number, number]} */
  const area = [Math.min(first.x, last.x), Math.min(first.y, last.y), Math.abs(first.x - last.x), Math.abs(first.y - last.y)];
  if (Math.min(area[2], area[3]) <= Math.max(MIN_BOX_EDGE.frame, MIN_BOX_EDGE.css / toolbox.viewer.zoom)) {
    await releaseMark(toolbox, first);
  } else if (toolbox.isSubtracting) {
    toolbox.dropPoints();
    showMessage('A box only adds. To remove, right-click or use the lasso with Shift.', true);
  } else {
    await suggest(toolbox, { box: area });
  }
}

/**
 * Handle a scribble: correct the selected object's mask along it, or make a mask; a short one is a click.
 * @param {Toolbox} toolbox
 * @param {Point[]} points
 */
async function releaseScribble(toolbox, points) {
  const { width, height } = toolbox.viewer.size;
  const line = points.filter(({ x, y }) => x >= 0 && y >= 0 && x < width && y < height);
  if (line.length < 2) await releaseMark(toolbox, points[0]);
  else if (!toolbox.isSubtracting) await suggest(toolbox, { scribble: toPairs(line) });
  else await suggest(toolbox, { negative: toPairs(line.filter((_, index) => index % SCRIBBLE_STEP === 0)) });
}

/**
 * Handle a click: correct the selected object's mask, select another object, or make a mask.
 * @param {Toolbox} toolbox
 * @param {Point} point
 */
async function releaseMark(toolbox, point) {
  const { app, viewer } = toolbox;
  const positive = !toolbox.isSubtracting;
  toolbox.points = [];
  if (toolbox.isSecondClick) return;
  const other = positive && findId(viewer.labels, point);
  if (other) {
    app.selection.select(other);
    showMessage(`${app.getName(other)} is selected.`);
    return;
  }
  await suggest(toolbox, { [positive ? 'positive' : 'negative']: toPairs([point]) }, { point, positive });
}

/** @typedef {Partial<Actions['suggest']['message']>} Prompts */

/**
 * Request a mask, and show the input until it is there.
 * @param {Toolbox} toolbox
 * @param {Prompts} prompts
 * @param {ClickMark} [mark]
 */
function suggest(toolbox, prompts, mark) {
  const { app, pressTarget } = toolbox;
  return toolbox.showUntil(app.queue.run(() => requestMask(toolbox, pressTarget, { ...prompts, separate: true }, mark)), mark);
}

/**
 * Request a mask. Away from the object's mask it makes a new object, unless the user adds it to this one.
 * @param {Toolbox} toolbox
 * @param {Toolbox['pressTarget']} target
 * @param {Prompts} prompts
 * @param {ClickMark} [mark] of a click
 */
async function requestMask(toolbox, { frame, target }, prompts, mark) {
  const { app } = toolbox;
  const previousId = target.id;
  const marks = toolbox.findMarks(frame, previousId);
  const answer = await app.request('suggest', { ...prompts, frame, object_id: previousId || null });
  if (answer.error) return answer;
  const { result: { object_id: id, protected_pixels: protectedPixels }, step } = answer;
  if (mark) toolbox.clicks.set(step, { frame, id, marks: id === previousId ? [...marks, mark] : [mark] });
  if (!previousId) target.id = id;
  if (previousId && id !== previousId) app.selection.selectNew(id, previousId);
  else app.renderObjects();
  app.history.reportLosses(answer);
  const repeat = async (/** @type {Prompts} */ changes) => {
    if ((await app.history.undo(step)).error) return;
    const { selection } = app;
    const repeatTarget = { frame, target: selection.id === previousId ? selection.target : { id: previousId } };
    await app.queue.run(() => requestMask(toolbox, repeatTarget, { ...prompts, ...changes }, mark));
    toolbox.show();
  };
  if (protectedPixels) showToast(`${formatCount(protectedPixels, 'pixel')} kept by other objects`, {
    'Take them': () => repeat({ overwrite: true }),
  }, step);
  if (previousId && id !== previousId) showToast(`Created ${app.getName(id)}`, {
    [`Add to ${app.getName(previousId)} instead`]: () => repeat({ extend: true, separate: false }),
    Undo: () => app.history.undo(step),
  }, step);
  return answer;
}

/** @param {Toolbox} toolbox */
function sendStroke(toolbox) {
  const { radius, tool, isSubtracting } = toolbox;
  return toolbox.send('paint', { radius, erase: Boolean(tool.erases || isSubtracting) });
}

/** @param {Toolbox} toolbox */
function sendOutline(toolbox) {
  return toolbox.send('outline', { erase: toolbox.isSubtracting });
}

/** Return whether a corner closes the polygon. @param {Toolbox} toolbox @param {Point} point */
function closesOutline({ points: [first, , ...others], viewer }, point) {
  return others.length && Math.hypot(point.x - first.x, point.y - first.y) < CLOSE_DISTANCE / viewer.zoom;
}

export class Toolbox {
  /**
   * @param {import('./main.js').App} app
   * @param {() => void} changed called when tool, size or `subtractByDefault` changed
   */
  constructor(app, changed) {
    this.app = app;
    this.viewer = app.viewer;
    this.changed = changed;
    /** @type {Tool} */
    this.tool = TOOLS[0];
    /** Last tool other than pan, which keeps the points of this one. */
    this.drawingTool = this.tool;
    this.radius = 12;
    /** @type {Point[]} */
    this.points = [];
    /**
     * Clicks on an object by the step of the history that the last of them made.
     * @type {Map<number, {frame: number, id: number, marks: ClickMark[]}>}
     */
    this.clicks = new Map();
    /** Input that was sent and is not answered. @type {Sketch[]} */
    this.pendingSketches = [];
    /** Frame and object at the last press. */
    this.pressTarget = { frame: 0, target: app.selection.target };
    this.isDown = false;
    /** Whether the unfinished or last input removes. */
    this.isSubtracting = false;
    /** Whether the last press is the second of a double click. */
    this.isSecondClick = false;
    /** Whether tools remove unless Shift is held, for pens and touch. */
    this.subtractByDefault = false;
  }

  toggleSubtract() {
    this.subtractByDefault = !this.subtractByDefault;
    this.changed();
  }

  /** @param {string} name */
  setTool(name) {
    const tool = TOOLS.find((candidate) => candidate.name === name) || TOOLS[0];
    if (this.isDown || ![PAN, this.drawingTool].includes(tool)) this.points = [];
    [this.isDown, this.tool] = [false, tool];
    if (tool !== PAN) this.drawingTool = tool;
    this.show();
    showMessage(tool.help);
    this.changed();
  }

  /** @param {number} factor */
  resize(factor) {
    this.setRadius(factor > 1 ? Math.max(this.radius * factor, this.radius + 0.5) : this.radius * factor);
  }

  /** @param {number} radius pixels of the frame */
  setRadius(radius) {
    this.radius = Math.min(300, Math.max(0.5, radius));
    if (this.viewer.cursor) this.viewer.cursor.radius = this.cursorRadius();
    this.changed();
    this.viewer.draw();
  }

  cursorRadius() {
    return this.tool.usesBrush ? this.radius : 0;
  }

  /** Drop unfinished input and hide sent input. */
  cancel() {
    [this.pendingSketches, this.isDown] = [[], false];
    this.dropPoints();
  }

  dropPoints() {
    this.points = [];
    this.show();
  }

  /** Whether a stroke or polygon is unfinished or not answered, which following must not interrupt. */
  get isDrawing() {
    return this.isDown || this.points.length + this.pendingSketches.length > 0;
  }

  get hasUnfinishedInput() {
    return this.isDown || this.points.length > 0;
  }

  /** Clicks of the last step on the selected object and this frame. */
  get marks() {
    return this.findMarks(this.app.playback.frame, this.app.selection.id);
  }

  /** @param {number} frame @param {number} id */
  findMarks(frame, id) {
    const last = this.clicks.get(this.app.history.step);
    return last?.frame === frame && last.id === id ? last.marks : [];
  }

  /** Remove the last corner or the stroke; return whether there was one. */
  dropLast() {
    if (!this.hasUnfinishedInput) return false;
    if (this.isDown) this.cancel();
    else this.points.pop();
    this.show();
    return true;
  }

  /** @param {Point} point @param {boolean} subtract whether Shift or the right button is held */
  press(point, subtract) {
    if (this.tool.name !== 'pan') this.app.playback.keepFrame();
    if (!this.app.playback.isReady) {
      showMessage(`Frame ${this.app.playback.target.frame} is still loading; nothing was drawn.`, true);
      return;
    }
    this.pressTarget = { frame: this.app.playback.frame, target: this.app.selection.target };
    if (!this.points.length) this.isSubtracting = subtract !== this.subtractByDefault; // the first corner of a polygon decides
    if (!this.tool.actsOnPress) {
      this.isDown = true;
      this.points = [point];
    }
    this.tool.press?.(this, point);
    this.show();
  }

  /** @param {Point} point */
  move(point) {
    if (!this.isDown) return;
    const { points, tool } = this;
    const last = points[points.length - 1];
    if (tool.move) tool.move(this, point);
    else if (Math.hypot(point.x - last.x, point.y - last.y) >= 0.7 && points.length < 19000) points.push(point);
    this.show();
  }

  async release() {
    if (!this.isDown) return;
    this.isDown = false;
    await this.tool.release?.(this);
  }

  /** Close the polygon. */
  close() {
    return this.tool.close?.(this);
  }

  /** Send the drawn points. @param {'paint' | 'outline'} action @param {object} values further fields of the message */
  async send(action, values) {
    const { app: { queue, history }, pressTarget: { frame, target } } = this;
    const message = /** @type {any} */ ({ frame, object_id: null, points: toPairs(this.points), ...values });
    history.reportLosses(await this.showUntil(queue.push(action, message, target)));
  }

  /**
   * Show sent input until it is answered; refused corners can be sent again.
   * @template {{error?: Error}} T
   * @param {Promise<T>} answer
   * @param {ClickMark} [mark] of a click
   */
  async showUntil(answer, mark) {
    const { tool, points } = this;
    const sketch = this.sketch();
    if (mark) sketch.marks = [...sketch.marks, mark];
    this.points = [];
    this.pendingSketches.push(sketch);
    const result = await answer.catch((error) => /** @type {import('./connection.js').Failed} */ ({ error })); // shown by the queue
    const canceled = !this.pendingSketches.includes(sketch);
    this.pendingSketches = this.pendingSketches.filter((pending) => pending !== sketch);
    if (result.error && !canceled && tool.actsOnPress && !this.points.length) this.points = points;
    this.show();
    return result;
  }

  sketch() {
    const { drawingTool: tool, points } = this;
    const erase = tool.erases || (this.isSubtracting && tool.usesBrush);
    return {
      ...(tool.shape?.(this) || { points, closed: false, corners: false }),
      width: tool.usesBrush ? 2 * this.radius : undefined,
      color: erase ? '#ffffff' : this.app.selection.item?.color || '#109898',
      marks: this.marks,
    };
  }

  /** Draw unfinished input. */
  show() {
    this.viewer.sketches = [...this.pendingSketches, this.sketch()];
    this.viewer.draw();
  }
}
