// @ts-check
/** The chosen tool and its unfinished input. Pointer and keyboard share press, move and release. */

import { TOOLS } from './tools.js';

/** @typedef {import('./viewer.js').Point} Point */
/** @typedef {import('./viewer.js').Mark} Mark */
/** @typedef {import('./protocol.js').Actions} Actions */

/**
 * A new tool is a module that exports one of these, and one line in tools.js.
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

export class Toolbox {
  /**
   * @param {import('./main.js').App} app
   * @param {() => void} changed called when tool, size or minus changed
   */
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
    this.app.say(found.help);
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
      const click = !this.down && this.marks.length > 0;
      if (click) this.marks.pop();
      else this.cancel();
      this.show();
      return click;
    }
    this.points.pop();
    this.show();
    return false;
  }

  /**
   * @param {Point} point
   * @param {{shift: boolean, right: boolean}} how
   */
  press(point, how) {
    if (!this.app.playback.ready) {
      this.app.say(`Frame ${this.app.playback.wanted} is still loading; nothing was drawn.`, true);
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
   * @template {'paint' | 'outline' | 'suggest'} A
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
