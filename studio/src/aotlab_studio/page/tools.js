/** Tools, the selected one and its unfinished input. Pointer and keyboard share press, move and release. */

import { createElement, createIcon, element, getPointer, showKey } from './dom.js';
import { showHint, showMessage } from './messages.js';
import { Prompter } from './prompts.js';
import { toPairs } from './viewer.js';

/** @import { Prompts } from './prompts.js' */
/** @import { Click, Point, Sketch } from './viewer.js' */

/** A tool of the page; `TOOLS` lists all.
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} key
 * @property {string} icon
 * @property {string} help
 * @property {boolean} [usesBrush] whether it draws with the round brush
 * @property {boolean} [erases]
 * @property {boolean} [makesPrompts] whether its input is a prompt, and a double click isolates an object
 * @property {(toolbox: Toolbox, point: Point) => unknown} [press]
 * @property {(toolbox: Toolbox, point: Point) => void} [move] appends a point to a free line if not given
 * @property {(toolbox: Toolbox, isDoubleClick: boolean) => unknown} [release] ends a drag; without it, a press acts
 * @property {boolean} [isClosedShape] whether the outline of its input is drawn closed
 * @property {boolean} [isPolygon] whether its input is corners, which are drawn, and is closed by a click or a key
 * @property {(points: Point[]) => Point[]} [shape] outline of its input */

const MIN_BOX_EDGE = { frame: 2, css: 4 }; // pixels of the frame, CSS pixels; a smaller box is a click
const SCRIBBLE_STEP = 8; // points of a removing scribble for each negative click
const FREE_LINE = { minDistance: 0.7, maxPoints: 19000 }; // distance of two points in pixels of the frame
const CLOSE_DISTANCE = { mouse: 8, finger: 20 }; // CSS pixels from the first corner; a nearer click closes the polygon

/** @type {Tool[]} */
export const TOOLS = [
  {
    name: 'box', key: 'X', icon: 'square-dashed',
    help: 'Box: drag around an object; click to add to its mask, right-click or Shift to remove.',
    makesPrompts: true, isClosedShape: true,
    move: (toolbox, point) => { toolbox.points = [toolbox.points[0], point]; },
    release: (toolbox, isDoubleClick) => toolbox.sendBox(isDoubleClick),
    shape: ([a, b]) => (b ? [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }] : []),
  },
  {
    name: 'click', key: 'C', icon: 'mouse-pointer-click',
    help: 'Click: on an object, or to add to its mask; right-click or Shift to remove.',
    makesPrompts: true,
    press: (toolbox, point) => toolbox.click(point),
  },
  {
    name: 'scribble', key: 'Z', icon: 'signature',
    help: 'Scribble: draw on an object or a missing part; right button or Shift to remove.',
    makesPrompts: true,
    release: (toolbox, isDoubleClick) => toolbox.sendScribble(isDoubleClick),
  },
  {
    name: 'brush', key: 'B', icon: 'brush', help: 'Brush: draw on the object. The wheel or [ ] changes the size.',
    usesBrush: true, release: (toolbox) => toolbox.send(),
  },
  {
    name: 'eraser', key: 'E', icon: 'eraser', help: 'Eraser: remove pixels of the object.',
    usesBrush: true, erases: true, release: (toolbox) => toolbox.send(),
  },
  {
    name: 'lasso', key: 'L', icon: 'lasso', help: 'Lasso: drag around the object; Shift to remove.',
    isClosedShape: true, release: (toolbox) => (toolbox.points.length > 2 ? toolbox.send() : toolbox.dropPoints()),
  },
  {
    name: 'polygon', key: 'P', icon: 'pentagon',
    help: 'Polygon: click corners; Enter or the first corner closes it; Shift to remove.',
    isPolygon: true,
    press: (toolbox, point) => (toolbox.isClosedBy(point) ? toolbox.send() : toolbox.addCorner(point)),
  },
  {
    name: 'reassign', key: 'O', icon: 'replace',
    help: 'Reassign: click a part of another object to give it to the selected one.',
    press: ({ app }, point) => app.objectPanel.editMask('reassign', { point: toPairs([point])[0] }),
  },
  {
    name: 'split', key: 'G', icon: 'scissors',
    help: 'Split: click on a separate part of the object to make it a new one.',
    press: async ({ app: { objectPanel, selection } }, point) => {
      const { id } = selection;
      const answer = await objectPanel.editMask('split_object', { point: toPairs([point])[0] });
      if (!answer.error && selection.id === id) selection.setSelected(answer.result.object_id);
    },
  },
  {
    name: 'pan', key: 'H', icon: 'hand',
    help: 'Pan: drag the frame. With other tools, drag it with the middle button.',
  },
];
const PAN = TOOLS[TOOLS.length - 1];

/** Frame and object of an input, and whether it removes.
 * @typedef {{frame: number, target: import('./queue.js').Target, erase: boolean}} Press */

export class Toolbox {
  constructor(/** @type {import('./main.js').App} */ app) {
    this.app = app;
    this.viewer = app.viewer;
    this.tool = TOOLS[0];
    this.drawingTool = this.tool; // last tool except pan; its unfinished input stays while the user pans
    this.radius = 12;
    this.points = /** @type {Point[]} */ ([]);
    this.pendingSketches = /** @type {Sketch[]} */ ([]); // input that was sent and is not answered
    this.prompter = new Prompter(app);
    /** The last press. @type {Press} */
    this.pressed = { frame: 0, target: app.selection.target, erase: false };
    this.erasesByDefault = false; // whether tools remove unless Shift is held, for pens and touch
    element('tools').prepend(...TOOLS.map(({ name, key, icon, help }) => {
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

  setTool(/** @type {string} */ name) {
    const tool = TOOLS.find((candidate) => candidate.name === name) || TOOLS[0];
    this.release();
    if (![PAN, this.drawingTool].includes(tool)) this.endInput();
    this.tool = tool;
    if (tool !== PAN) this.drawingTool = tool;
    showHint(tool.help);
    this.showButtons();
  }

  resizeBrush(/** @type {number} */ factor) {
    this.setRadius(factor > 1 ? Math.max(this.radius * factor, this.radius + 0.5) : this.radius * factor);
  }

  /** @param {number} radius pixels of the frame */
  setRadius(radius) {
    this.radius = Math.min(300, Math.max(0.5, radius));
    this.showButtons();
  }

  /** End the input for this frame and object: finish a drag or a polygon, and hide what was sent. */
  endInput() {
    this.release();
    this.close();
    this.cancel();
  }

  /** Drop unfinished input and hide sent input. */
  cancel() {
    this.pendingSketches = [];
    this.dropPoints();
  }

  /** Drop unfinished input, and undo the prompts on their way; return whether there were any. */
  cancelInput() {
    if (!this.prompter.cancel() && !this.hasUnfinishedInput) return false;
    this.cancel();
    return true;
  }

  /** Drop unfinished input. */
  dropPoints() {
    this.points = [];
    this.show();
  }

  /** Whether input is unfinished, or sent and not answered; playback and tracking then stay on this frame. */
  get isDrawing() {
    return this.hasUnfinishedInput || this.pendingSketches.length > 0;
  }

  get hasUnfinishedInput() {
    return this.points.length > 0;
  }

  /** Whether a pointer or key is dragging; the points of other tools are corners. */
  get isDown() {
    return this.tool.release !== undefined && this.hasUnfinishedInput;
  }

  /** Remove the last corner, or the last click on the selected object, which may be on its way. */
  undoLastInput() {
    const { history, playback: { frame } } = this.app;
    const findStep = () => (this.prompter.findClicks(frame).length ? { step: this.app.state.step } : undefined);
    if (!this.removeLastPoint()) history.undoOrRedo('undo', findStep);
  }

  /** Drop an unfinished drag. */
  cancelDrag() {
    if (this.isDown) this.dropPoints();
  }

  /** Remove the last corner or the stroke; return whether there was one. */
  removeLastPoint() {
    if (!this.hasUnfinishedInput) return false;
    this.points = this.isDown ? [] : this.points.slice(0, -1);
    this.show();
    return true;
  }

  /** @param {Point} point @param {boolean} isShifted whether Shift or the right button is held */
  press(point, isShifted) {
    const { playback } = this.app;
    if (!playback.isReady) {
      showMessage(`Frame ${playback.wanted.frame} has not loaded yet; nothing was drawn.`, true);
      return;
    }
    if (this.tool !== PAN) playback.stopAtShownFrame();
    // the first corner of a polygon decides
    const erase = this.points.length ? this.pressed.erase : isShifted !== this.erasesByDefault;
    this.pressed = { frame: playback.frame, target: this.app.selection.getEditTarget(), erase };
    if (this.tool.release) this.points = [point];
    this.tool.press?.(this, point);
    this.show();
  }

  move(/** @type {Point} */ point) {
    if (!this.isDown) return;
    const { points, tool } = this;
    const last = points[points.length - 1];
    const distance = Math.hypot(point.x - last.x, point.y - last.y);
    if (tool.move) tool.move(this, point);
    else if (distance >= FREE_LINE.minDistance && points.length < FREE_LINE.maxPoints) points.push(point);
    if (points.length >= FREE_LINE.maxPoints && tool.usesBrush) { // the stroke goes on as a new one
      this.send();
      this.points = [point];
    }
    this.show();
  }

  /** Finish a drag. @param {boolean} [isDoubleClick] */
  async release(isDoubleClick = false) {
    if (this.isDown) await this.tool.release?.(this, isDoubleClick);
  }

  close() {
    return this.drawingTool.isPolygon && this.points.length > 2 ? this.send() : undefined;
  }

  /** Add a corner, unless it equals the last one. @param {Point} point */
  addCorner(point) {
    const last = this.points[this.points.length - 1];
    if (last?.x !== point.x || last.y !== point.y) this.points.push(point);
  }

  /** Return whether a corner closes the polygon. @param {Point} point */
  isClosedBy({ x, y }) {
    const [first, , ...others] = this.points;
    return others.length > 0 && Math.hypot(x - first.x, y - first.y) < CLOSE_DISTANCE[getPointer()] / this.viewer.zoom;
  }

  async send() {
    const { app: { queue }, pressed: { frame, target, erase }, points, radius, tool } = this;
    const message = { frame, object_id: null, points: toPairs(points), erase: tool.erases || erase };
    const answer = tool.usesBrush
      ? queue.edit('paint', { ...message, radius }, target) : queue.edit('fill_polygon', message, target);
    await this.showUntilAnswered(answer);
  }

  /** Request a mask of the drawn box; a small one is a click. @param {boolean} isDoubleClick */
  async sendBox(isDoubleClick) {
    const [first, last = first] = this.points;
    const [width, height] = [Math.abs(first.x - last.x), Math.abs(first.y - last.y)].map((edge) => Math.max(1, edge));
    if (Math.max(width, height) <= Math.max(MIN_BOX_EDGE.frame, MIN_BOX_EDGE.css / this.viewer.zoom)) {
      await this.click(first, isDoubleClick);
    } else if (this.pressed.erase) {
      this.dropPoints();
      showMessage('A box only adds. To remove, right-click or use the lasso with Shift.', true);
    } else {
      await this.suggest({ box: [Math.min(first.x, last.x), Math.min(first.y, last.y), width, height] });
    }
  }

  /** Request a mask of the scribble, or correct one along it; a short one is a click. @param {boolean} isDoubleClick */
  async sendScribble(isDoubleClick) {
    const { points, viewer: { size } } = this;
    const line = points.filter(({ x, y }) => x >= 0 && y >= 0 && x < size.width && y < size.height);
    if (line.length < 2) await this.click(line[0] ?? points[0], isDoubleClick);
    else if (!this.pressed.erase) await this.suggest({ scribble: toPairs(line) });
    else await this.suggest({ negative: toPairs(line.filter((_, index) => index % SCRIBBLE_STEP === 0)) });
  }

  /** Request or correct a mask, or select the object there. @param {Point} point @param {boolean} [isDoubleClick] */
  async click(point, isDoubleClick = false) {
    const { app, viewer } = this;
    const positive = !this.pressed.erase;
    this.points = [];
    if (isDoubleClick) return;
    const other = positive && viewer.findVisibleId(point);
    if (other) {
      app.selection.selectByUser(other);
      showMessage(`${app.getName(other)} is selected.`);
    } else {
      await this.suggest({ [positive ? 'positive' : 'negative']: toPairs([point]) }, { point, positive });
    }
  }

  /** Request a mask; show the input until then. @param {Prompts} prompts @param {Click} [click] */
  suggest(prompts, click) {
    return this.showUntilAnswered(this.prompter.send(this.pressed, { ...prompts, separate: true }, click), click);
  }

  /** Show sent input until it is answered; a refused polygon can be sent again. */
  async showUntilAnswered(/** @type {Promise<{error?: Error}>} */ answer, /** @type {Click=} */ click = undefined) {
    const { drawingTool: tool, points } = this;
    const sketch = this.createSketch();
    if (click) sketch.clicks = [...sketch.clicks, click];
    this.points = [];
    this.pendingSketches.push(sketch);
    const { error } = await answer;
    const isHidden = !this.pendingSketches.includes(sketch);
    this.pendingSketches = this.pendingSketches.filter((pending) => pending !== sketch);
    const userHasGoneOn = isHidden || tool !== this.drawingTool || this.hasUnfinishedInput;
    if (error && tool.isPolygon && !userHasGoneOn) this.points = points;
    this.show();
  }

  createSketch() {
    const { drawingTool: tool, points } = this;
    const erase = tool.erases || (this.pressed.erase && tool.usesBrush);
    return {
      tool,
      points: tool.shape?.(points) || points,
      width: tool.usesBrush ? 2 * this.radius : undefined,
      color: erase ? '#ffffff' : this.app.selection.item?.color || '#109898',
      clicks: this.prompter.findClicks(),
    };
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

  show() {
    this.viewer.sketches = [...this.pendingSketches, this.createSketch()];
    this.viewer.requestDraw();
  }
}
