// @ts-check
/** Tools on the frame. Pointer and keyboard come down to the same three verbs: press, move, release. */

/** @typedef {import('./viewer.js').Point} Point */

export const TOOLS = [
  { name: 'brush', key: 'B', icon: '●', hint: 'Brush: draw on the object. Wheel or [ ] sets the size.' },
  { name: 'eraser', key: 'E', icon: '○', hint: 'Eraser: take pixels from the object.' },
  { name: 'box', key: 'X', icon: '▢', hint: 'Box: drag around the object. Then click on what its mask lacks, right-click (or Shift) on what is too much.' },
  { name: 'click', key: 'C', icon: '✚', hint: 'Clicks: on the object, or on what its mask lacks; with Shift or the right button: on what is not the object.' },
  { name: 'lasso', key: 'L', icon: '✎', hint: 'Lasso: drag around the object. With Shift: take away.' },
  { name: 'polygon', key: 'P', icon: '⬠', hint: 'Polygon: click corners; Enter, a double click or the first corner closes it. With Shift: take away.' },
  { name: 'split', key: 'G', icon: '✂', hint: 'Split: click on a separate part to make it an object of its own.' },
  { name: 'pan', key: 'H', icon: '✥', hint: 'Pan: drag the picture. The space bar plays; a middle drag always pans.' },
];

/** Pixels of the screen within which a corner is the first one. */
const NEAR = 8;

/** @param {Point[]} points */
const pairs = (points) => points.map(({ x, y }) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);

export class Toolbox {
  /**
   * @param {import('./viewer.js').Viewer} viewer
   * @param {{send: (action: string, values: object) => Promise<any>, colour: () => string, present: () => boolean, changed: () => void, say: (text: string) => void}} app
   */
  constructor(viewer, app) {
    this.viewer = viewer;
    this.app = app;
    this.tool = 'brush';
    this.radius = 12;
    /** @type {Point[]} */
    this.points = [];
    /** @type {{point: Point, positive: boolean}[]} */
    this.marks = [];
    /** The last box, which clicks after it refine. @type {number[] | null} */
    this.box = null;
    /** Whether clicks change the mask that there is, rather than make one. */
    this.refines = false;
    this.down = false;
    this.minus = false;
    /** Whether tools take away unless Shift is held, for pens and fingers. */
    this.inverse = false;
  }

  invert() {
    this.inverse = !this.inverse;
    this.app.changed();
  }

  /** Whether a press is all that the tool takes. */
  get takesPoints() {
    return ['click', 'polygon', 'split'].includes(this.tool);
  }

  /** @param {string} name */
  choose(name) {
    if (this.tool === 'box' && name === 'click') this.points = [];
    else this.cancel();
    this.tool = name;
    const found = TOOLS.find((tool) => tool.name === name);
    this.app.say(found ? found.hint : '');
    this.app.changed();
  }

  /** @param {number} factor */
  resize(factor) {
    this.radius = Math.min(300, Math.max(0.5, factor > 1 ? Math.max(this.radius * factor, this.radius + 0.5) : this.radius * factor));
    if (this.viewer.cursor) this.viewer.cursor.radius = this.cursorRadius();
    this.app.changed();
    this.viewer.draw();
  }

  cursorRadius() {
    return this.tool === 'brush' || this.tool === 'eraser' ? this.radius : 0;
  }

  /** Forget what was begun. */
  cancel() {
    this.points = [];
    this.marks = [];
    this.box = null;
    this.down = false;
    this.show();
  }

  /** Whether something was begun and not finished. */
  get begun() {
    return this.down || this.points.length > 0 || this.marks.length > 0;
  }

  /**
   * @param {Point} point
   * @param {{shift: boolean, right: boolean}} how
   */
  press(point, how) {
    this.minus = (how.shift || how.right) !== this.inverse;
    if (this.tool === 'click') {
      this.mark(point);
    } else if (this.tool === 'split') {
      this.app.send('split_object', { point: pairs([point])[0] });
    } else if (this.tool === 'polygon') {
      if (this.closes(point)) {
        this.close();
        return;
      }
      this.points.push(point);
      this.show();
    } else {
      this.down = true;
      this.points = [point];
      this.show();
    }
  }

  /**
   * Whether a corner of the polygon is its first one again.
   * @param {Point} point
   */
  closes(point) {
    if (this.points.length < 3) return false;
    const [first] = this.points;
    return Math.hypot(point.x - first.x, point.y - first.y) * this.viewer.zoom < NEAR;
  }

  /**
   * Say that a point is on the object, or not.
   * @param {Point} point
   */
  mark(point) {
    if (!this.marks.length) this.refines = !this.box && this.app.present();
    this.marks.push({ point, positive: !this.minus });
    this.show();
    return this.suggest();
  }

  /** @param {Point} point */
  move(point) {
    if (!this.down) return;
    const last = this.points[this.points.length - 1];
    if (this.tool === 'box') this.points = [this.points[0], point];
    else if (Math.hypot(point.x - last.x, point.y - last.y) >= 0.7 && this.points.length < 19000) this.points.push(point);
    this.show();
  }

  async release() {
    if (!this.down) return;
    this.down = false;
    const points = this.points;
    if (this.tool === 'brush' || this.tool === 'eraser') {
      const erase = this.tool === 'eraser' || this.minus;
      await this.finish('paint', { points: pairs(points), radius: this.radius, erase });
    } else if (this.tool === 'lasso') {
      if (points.length > 2) await this.finish('outline', { points: pairs(points), erase: this.minus });
      else this.cancel();
    } else if (this.tool === 'box') {
      await this.releaseBox(points[0], points[points.length - 1]);
    }
  }

  /**
   * Take a box; what is too small to be one is a click.
   * @param {Point} first
   * @param {Point} last
   */
  async releaseBox(first, last) {
    const box = [Math.min(first.x, last.x), Math.min(first.y, last.y), Math.abs(first.x - last.x), Math.abs(first.y - last.y)];
    this.points = [];
    if (box[2] > 2 && box[3] > 2) {
      this.marks = [];
      this.refines = false;
      this.box = box;
      await this.suggest();
      this.show();
    } else if (this.box || this.app.present()) {
      await this.mark(first);
    } else {
      this.cancel();
    }
  }

  /** Close the polygon. */
  async close() {
    if (this.tool !== 'polygon' || this.points.length < 3) return;
    await this.finish('outline', { points: pairs(this.points), erase: this.minus });
  }

  /**
   * Send what was drawn, and keep it on the screen until it is answered.
   * @param {string} action
   * @param {object} values
   */
  async finish(action, values) {
    const mine = this.points;
    await this.app.send(action, values);
    if (this.points === mine) this.cancel();
  }

  suggest() {
    const [positive, negative] = [true, false].map((kind) => pairs(this.marks.filter((mark) => mark.positive === kind).map((mark) => mark.point)));
    if (!this.box && !positive.length && !this.refines) {
      this.app.say('Click on the object first: it has no mask here that something could be taken from.');
      return Promise.resolve();
    }
    return this.app.send('suggest', { box: this.box || undefined, positive, negative, refine: this.refines });
  }

  /** Draw what is being drawn. */
  show() {
    const erase = this.tool === 'eraser' || (this.minus && this.tool === 'brush');
    const colour = erase ? '#ffffff' : this.app.colour();
    const { points, marks } = this;
    if (!points.length && !marks.length) {
      this.viewer.sketch = null;
    } else if (this.tool === 'box' && points.length === 2) {
      const [a, b] = points;
      const corners = [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }];
      this.viewer.sketch = { points: corners, closed: true, box: true, colour };
    } else {
      const width = this.tool === 'brush' || this.tool === 'eraser' ? 2 * this.radius : undefined;
      this.viewer.sketch = { points, width, closed: this.tool === 'lasso', box: this.tool === 'lasso', colour, marks };
    }
    this.viewer.draw();
  }
}
