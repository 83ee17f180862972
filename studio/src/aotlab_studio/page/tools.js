// @ts-check
/** Tools, the chosen one and its unfinished input. Pointer and keyboard share press, move and release. */

import { toPairs } from './connection.js';
import { element, toast } from './dom.js';
import { countPixels, idAt, isFarFrom } from './frames.js';

/** @typedef {import('./viewer.js').Point} Point */
/** @typedef {import('./viewer.js').Mark} Mark */
/** @typedef {import('./protocol.js').Actions} Actions */

/**
 * A tool of the page; `TOOLS` lists all.
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} key
 * @property {string} icon
 * @property {string} help
 * @property {boolean} [takesPoints] whether one press is the whole input
 * @property {boolean} [round] whether it draws with the round brush
 * @property {boolean} [erases]
 * @property {boolean} [prompts] whether it keeps the marks of clicks
 * @property {(box: Toolbox, point: Point) => unknown} press
 * @property {(box: Toolbox, point: Point) => void} [move]
 * @property {(box: Toolbox) => unknown} [release]
 * @property {(box: Toolbox) => unknown} [close]
 * @property {(box: Toolbox) => {points: Point[], closed: boolean, corners: boolean}} [shape] outline of unfinished input
 */

const NOTHING_TO_REMOVE = 'Click on the object first: it has no mask on this frame to remove from.';

/** Smallest edge of a box in pixels of the frame; a smaller drag is a click. */
const MIN_BOX_EDGE = 2;

/** @type {Tool} */
const box = {
  name: 'box',
  key: 'X',
  icon: 'square-dashed',
  help: 'Box: drag around an object. Click on what its mask lacks, right-click (or Shift) on what is too much; a click on another mask chooses it.',
  prompts: true,
  press: () => {},
  move: (toolbox, point) => { toolbox.points = [toolbox.points[0], point]; },
  release: (toolbox) => releaseBox(toolbox, toolbox.points[0], toolbox.points[toolbox.points.length - 1]),
  shape: ({ points: [a, b] }) => ({
    points: a && b ? [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }] : [], closed: true, corners: false,
  }),
};

/** @type {Tool} */
const click = {
  name: 'click',
  key: 'C',
  icon: 'mouse-pointer-click',
  help: 'Clicks: on an object, or on what its mask lacks; with Shift or the right button: on what is too much.',
  prompts: true,
  takesPoints: true,
  press: (toolbox, point) => releaseMark(toolbox, point),
};

/** Points of a scribble between two clicks beside the object. */
const SCRIBBLE_STEP = 8;

/** @type {Tool} */
const scribble = {
  name: 'scribble',
  key: 'Z',
  icon: 'signature',
  help: 'Scribble: draw a line on an object, or along what its mask lacks (ears, legs); with Shift or the right button: along what is too much.',
  prompts: true,
  press: () => {},
  move: (toolbox, point) => toolbox.follow(point),
  release: (toolbox) => releaseScribble(toolbox, toolbox.points),
  shape: ({ points }) => ({ points, closed: false, corners: false }),
};

/** @param {Toolbox} toolbox @param {Point} first @param {Point} last */
async function releaseBox(toolbox, first, last) {
  const found = [Math.min(first.x, last.x), Math.min(first.y, last.y), Math.abs(first.x - last.x), Math.abs(first.y - last.y)];
  if (found[2] <= MIN_BOX_EDGE || found[3] <= MIN_BOX_EDGE) {
    toolbox.points = [];
    await releaseMark(toolbox, first);
    return;
  }
  const mine = toolbox.points;
  toolbox.marks = [];
  const { all, inside } = countPixels(toolbox.viewer.labels, toolbox.app.chosen, found);
  await suggest(toolbox, { box: found }, inside < all / 2);
  if (toolbox.points === mine) toolbox.cancel();
}

/**
 * Handle a scribble: correct the chosen object's mask along it, or make a mask; a short one is a click.
 * @param {Toolbox} toolbox
 * @param {Point[]} points
 */
async function releaseScribble(toolbox, points) {
  const { app, minus, viewer: { labels, size } } = toolbox;
  const line = points.filter(({ x, y }) => x >= 0 && y >= 0 && x < size.width && y < size.height);
  if (line.length < 2) {
    toolbox.points = [];
    await releaseMark(toolbox, points[0]);
    return;
  }
  const present = Boolean(labels && countPixels(labels, app.chosen).all);
  if (minus && !present) {
    toolbox.cancel();
    app.showMessage(NOTHING_TO_REMOVE);
    return;
  }
  const away = Boolean(!minus && present && labels && [line[0], line[line.length - 1]].every((end) => isFarFrom(labels, app.chosen, end)));
  const prompts = minus
    ? { negative: toPairs(line.filter((_, index) => index % SCRIBBLE_STEP === 0)) }
    : { scribble: toPairs(line) };
  toolbox.marks = [];
  await suggest(toolbox, { ...prompts, refine: present && !away }, away);
  if (toolbox.points === points) toolbox.cancel();
}

/**
 * Handle a click: correct the chosen object's mask, choose another object, or make a mask.
 * @param {Toolbox} toolbox
 * @param {Point} point
 */
async function releaseMark(toolbox, point) {
  const { app, viewer: { labels } } = toolbox;
  const positive = !toolbox.minus;
  const present = Boolean(labels && countPixels(labels, app.chosen).all);
  const other = idAt(labels, point);
  if (positive && other) {
    app.choose(other);
    app.showMessage(`${app.getName(other)} is chosen.`);
    return;
  }
  if (!positive && !present) {
    app.showMessage(NOTHING_TO_REMOVE);
    return;
  }
  const away = Boolean(positive && present && labels && isFarFrom(labels, app.chosen, point));
  const added = { point, positive };
  if (!away) toolbox.marks.push(added);
  toolbox.show();
  const points = { [positive ? 'positive' : 'negative']: toPairs([point]) };
  const done = await suggest(toolbox, { ...points, refine: present && !away }, away);
  if (done === undefined) toolbox.marks = toolbox.marks.filter((one) => one !== added);
  toolbox.show();
}

/**
 * Request a mask. Away from the chosen object's mask it makes a new object, unless the person adds it to the chosen one.
 * @param {Toolbox} toolbox
 * @param {object} prompts
 * @param {boolean} away
 */
async function suggest({ app }, prompts, away) {
  const before = app.chosen;
  const frame = app.playback.frame;
  const common = { ...prompts, overwrite: element('overwrite').checked };
  const found = await app.send('suggest', { ...common, object_id: (!away && before) || null });
  if (!found) return undefined;
  const id = found.object_id;
  if (id !== before) app.choose(id);
  const { step } = app.connection;
  const losers = found.taken.map((other) => app.getName(other)).join(', ');
  if (losers) toast(`${app.getName(id)} took pixels of ${losers}`, { Undo: () => app.history.undo(step) });
  if (!away) return id;
  toast(`${app.getName(id)} is new`, {
    [`More of ${app.getName(before)}`]: async () => {
      if ((await app.send('undo', { step })) === undefined) return;
      app.choose(before);
      await app.send('suggest', { ...common, frame, object_id: before, extend: true });
    },
    Undo: () => app.history.undo(step),
  });
  return id;
}

/** @type {Pick<Tool, 'round' | 'press' | 'move' | 'release'>} */
const round = {
  round: true,
  press: () => {},
  move: (toolbox, point) => toolbox.follow(point),
  release: (toolbox) => toolbox.finish('paint', {
    points: toPairs(toolbox.points), radius: toolbox.radius, erase: Boolean(toolbox.tool.erases || toolbox.minus),
  }),
};

/** @type {Tool} */
const brush = { name: 'brush', key: 'B', icon: 'brush', help: 'Brush: draw on the object. Wheel or [ ] sets the size.', ...round };

/** @type {Tool} */
const eraser = { name: 'eraser', key: 'E', icon: 'eraser', help: 'Eraser: remove pixels of the object.', erases: true, ...round };

/** CSS pixels from the first corner within which a click closes the polygon. */
const CLOSE_DISTANCE = 8;

/** @type {Tool} */
const lasso = {
  name: 'lasso',
  key: 'L',
  icon: 'lasso',
  help: 'Lasso: drag around the object. With Shift: remove.',
  press: () => {},
  move: (toolbox, point) => toolbox.follow(point),
  release: (toolbox) => (toolbox.points.length > 2 ? send(toolbox) : toolbox.cancel()),
  shape: ({ points }) => ({ points, closed: true, corners: false }),
};

/** @type {Tool} */
const polygon = {
  name: 'polygon',
  key: 'P',
  icon: 'pentagon',
  help: 'Polygon: click corners; Enter, a double click or the first corner closes it; Backspace removes the last. With Shift: remove.',
  takesPoints: true,
  press: (toolbox, point) => (closesOutline(toolbox, point) ? send(toolbox) : toolbox.points.push(point)),
  close: (toolbox) => (toolbox.points.length > 2 ? send(toolbox) : undefined),
  shape: ({ points }) => ({ points, closed: false, corners: true }),
};

/** @param {Toolbox} toolbox */
function send(toolbox) {
  return toolbox.finish('outline', { points: toPairs(toolbox.points), erase: toolbox.minus });
}

/** Return whether a corner closes the polygon. @param {Toolbox} toolbox @param {Point} point */
function closesOutline({ points, viewer }, point) {
  return points.length > 2 && Math.hypot(point.x - points[0].x, point.y - points[0].y) < viewer.css(CLOSE_DISTANCE);
}

/** @type {Tool} */
const part = {
  name: 'part',
  key: 'O',
  icon: 'arrow-left-right',
  help: 'Part: click on a part of another object; it becomes the chosen object’s. Shift chooses the object instead.',
  takesPoints: true,
  press: async (toolbox, point) => {
    const { app } = toolbox;
    const other = idAt(toolbox.viewer.labels, point);
    if (toolbox.minus && other) {
      app.choose(other);
      return;
    }
    const lost = await app.send('reassign', { point: toPairs([point])[0] });
    if (lost !== undefined) app.history.offer(`A part of ${app.getName(lost)} is ${app.getName(app.chosen)}’s now`);
  },
};

/** @type {Tool} */
const split = {
  name: 'split',
  key: 'G',
  icon: 'scissors',
  help: 'Split: click on a separate part of the object to make it a new object.',
  takesPoints: true,
  press: async (toolbox, point) => {
    const id = await toolbox.app.send('split_object', { point: toPairs([point])[0] });
    if (id !== undefined) toolbox.app.choose(id);
  },
};

/** @type {Tool} */
const pan = { name: 'pan', key: 'H', icon: 'hand', help: 'Pan: drag the image. Space plays; a middle drag always pans.', press: () => {} };

/** @type {Tool[]} */
export const TOOLS = [box, click, scribble, brush, eraser, lasso, polygon, part, split, pan];

export class Toolbox {
  /** @param {import('./main.js').App} app @param {() => void} changed called when tool, size or minus changed */
  constructor(app, changed) {
    this.app = app;
    this.viewer = app.viewer;
    this.changed = changed;
    /** @type {Tool} */
    this.tool = TOOLS[0];
    this.radius = 12;
    /** @type {Point[]} */
    this.points = [];
    /** @type {Mark[]} */
    this.marks = [];
    this.down = false;
    this.minus = false;
    /** Whether tools remove unless Shift is held, for pens and touch. */
    this.inverse = false;
  }

  invert() {
    this.inverse = !this.inverse;
    this.changed();
  }

  /** @param {string} name */
  choose(name) {
    const found = TOOLS.find((tool) => tool.name === name) || TOOLS[0];
    if (this.tool.prompts && found.prompts) this.points = [];
    else this.cancel();
    this.tool = found;
    this.app.showMessage(found.help);
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
    return this.tool.round ? this.radius : 0;
  }

  /** Drop unfinished input. */
  cancel() {
    this.points = [];
    this.marks = [];
    this.down = false;
    this.show();
  }

  /** Whether a stroke or polygon is unfinished, which following must not interrupt. */
  get drawing() {
    return this.down || this.points.length > 0;
  }

  get begun() {
    return this.drawing || this.marks.length > 0;
  }

  /** Remove the last corner or click; returns whether it was a click, whose effect is already stored. */
  dropLast() {
    if (this.down || !this.points.length) {
      const isClick = !this.down && this.marks.length > 0;
      if (isClick) this.marks.pop();
      else this.cancel();
      this.show();
      return isClick;
    }
    this.points.pop();
    this.show();
    return false;
  }

  /** @param {Point} point @param {{shift: boolean, right: boolean}} how */
  press(point, how) {
    if (this.tool.name !== 'pan') this.app.playback.halt();
    if (!this.app.playback.ready) {
      this.app.showMessage(`Frame ${this.app.playback.target} is still loading; nothing was drawn.`, true);
      return;
    }
    this.minus = (how.shift || how.right) !== this.inverse;
    if (!this.tool.takesPoints) {
      this.down = true;
      this.points = [point];
    }
    this.tool.press(this, point);
    this.show();
  }

  /** @param {Point} point */
  move(point) {
    if (!this.down) return;
    this.tool.move?.(this, point);
    this.show();
  }

  /** Append a point of a free line. @param {Point} point */
  follow(point) {
    const last = this.points[this.points.length - 1];
    if (Math.hypot(point.x - last.x, point.y - last.y) >= 0.7 && this.points.length < 19000) this.points.push(point);
  }

  async release() {
    if (!this.down) return;
    this.down = false;
    await this.tool.release?.(this);
  }

  async close() {
    await this.tool.close?.(this);
  }

  /**
   * Send what was drawn, and show it until the answer comes.
   * @template {'paint' | 'outline'} A
   * @param {A} action
   * @param {Partial<Actions[A]['message']>} values
   */
  async finish(action, values) {
    const mine = this.points;
    await this.app.draw(action, values);
    if (this.points === mine) this.cancel();
  }

  /** Draw unfinished input. */
  show() {
    const { tool, points, marks } = this;
    const erase = tool.erases || (this.minus && tool.round);
    const shape = tool.shape?.(this) || { points, closed: false, corners: false };
    this.viewer.sketch = points.length || marks.length ? {
      ...shape,
      marks,
      width: tool.round ? 2 * this.radius : undefined,
      colour: erase ? '#ffffff' : this.app.colour(),
    } : null;
    this.viewer.draw();
  }
}
