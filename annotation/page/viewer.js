// @ts-check
/** The frame with its masks on a canvas: zoom, pan, and what a tool is drawing. */

import { onNextPicture } from './drawing.js';

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{points: Point[], closed?: boolean, width?: number, colour: string, box?: boolean, marks?: {point: Point, positive: boolean}[]}} Sketch */

export class Viewer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.mask = document.createElement('canvas');
    /** @type {ImageBitmap | null} */
    this.picture = null;
    this.near = false;
    /** @type {import('./frames.js').Labels | null} */
    this.labels = null;
    this.size = { width: 1, height: 1 };
    this.zoom = 1;
    this.left = 0;
    this.top = 0;
    this.fitted = true;
    this.look = { fill: true, outline: true, opacity: 0.45 };
    /** @type {Map<number, [number, number, number]>} */
    this.colours = new Map();
    /** @type {Sketch | null} */
    this.sketch = null;
    /** @type {{point: Point, radius: number} | null} */
    this.cursor = null;
    /** Draw with the next picture of the screen. */
    this.draw = onNextPicture(() => this.drawNow());
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  /** @param {[number, number]} size height and width of the frames */
  setSize([height, width]) {
    const first = this.size.width === 1;
    this.size = { width, height };
    if (first) this.fit();
  }

  /** @param {{number: number, colour: string}[]} objects those that are drawn */
  setObjects(objects) {
    this.colours = new Map(objects.map(({ number, colour }) => {
      const value = parseInt(colour.slice(1), 16);
      return [number, [value >> 16, (value >> 8) & 255, value & 255]];
    }));
    this.paintMask();
  }

  /** @param {{fill?: boolean, outline?: boolean, opacity?: number}} changes */
  setLook(changes) {
    this.look = { ...this.look, ...changes };
    this.paintMask();
  }

  /**
   * @param {ImageBitmap | null} picture null: the one that shows
   * @param {import('./frames.js').Labels} labels
   */
  show(picture, labels) {
    this.picture = picture || this.picture;
    this.labels = labels;
    this.near = false;
    this.paintMask();
  }

  /**
   * Show a frame beside the one that is still being decoded: dimmed, without masks.
   * @param {ImageBitmap} picture
   */
  showNear(picture) {
    this.picture = picture;
    this.near = true;
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.fitted) this.fit();
    this.draw();
  }

  /** Show the whole frame. */
  fit() {
    const { width, height } = this.canvas;
    this.zoom = Math.min(width / this.size.width, height / this.size.height);
    this.left = (width - this.zoom * this.size.width) / 2;
    this.top = (height - this.zoom * this.size.height) / 2;
    this.fitted = true;
    this.draw();
  }

  /**
   * Zoom by a factor about a point of the canvas; its middle when not given.
   * @param {number} factor
   * @param {Point} [about] CSS pixels
   */
  zoomBy(factor, about) {
    const ratio = window.devicePixelRatio || 1;
    const x = about ? about.x * ratio : this.canvas.width / 2;
    const y = about ? about.y * ratio : this.canvas.height / 2;
    const zoom = Math.min(64, Math.max(0.05, this.zoom * factor));
    this.left = x - ((x - this.left) * zoom) / this.zoom;
    this.top = y - ((y - this.top) * zoom) / this.zoom;
    this.zoom = zoom;
    this.fitted = false;
    this.draw();
  }

  /**
   * @param {number} dx CSS pixels
   * @param {number} dy
   */
  pan(dx, dy) {
    const ratio = window.devicePixelRatio || 1;
    this.left += dx * ratio;
    this.top += dy * ratio;
    this.fitted = false;
    this.draw();
  }

  /**
   * Where in the frame a point of the page is.
   * @param {{clientX: number, clientY: number}} event
   * @returns {Point}
   */
  pointOf(event) {
    const ratio = window.devicePixelRatio || 1;
    const box = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * ratio - this.left) / this.zoom,
      y: ((event.clientY - box.top) * ratio - this.top) / this.zoom,
    };
  }

  /** Draw the masks' pixels anew; call it when labels, colours or look changed. */
  paintMask() {
    if (!this.labels) return;
    const { width, height, ids } = this.labels;
    if (this.mask.width !== width || this.mask.height !== height) {
      this.mask.width = width;
      this.mask.height = height;
    }
    const context = /** @type {CanvasRenderingContext2D} */ (this.mask.getContext('2d'));
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    /** @type {Map<number, [number, number]>} */
    const shades = new Map();
    const alpha = this.look.fill ? Math.round(this.look.opacity * 255) : 0;
    for (const [number, [red, green, blue]] of this.colours) {
      const colour = red | (green << 8) | (blue << 16);
      shades.set(number, [(colour | (alpha << 24)) >>> 0, (colour | (255 << 24)) >>> 0]);
    }
    let index = 0;
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, index += 1) {
        const id = ids[index];
        if (id === 0) continue;
        const shade = shades.get(id);
        if (!shade) continue;
        const edge = this.look.outline && (
          (x > 0 && ids[index - 1] !== id) || (x < width - 1 && ids[index + 1] !== id)
          || (y > 0 && ids[index - width] !== id) || (y < height - 1 && ids[index + width] !== id));
        pixels[index] = edge ? shade[1] : shade[0];
      }
    }
    context.putImageData(image, 0, 0);
    this.draw();
  }

  drawNow() {
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.picture) return;
    context.setTransform(this.zoom, 0, 0, this.zoom, this.left, this.top);
    context.imageSmoothingEnabled = this.zoom < 3;
    context.globalAlpha = this.near ? 0.5 : 1;
    context.drawImage(this.picture, 0, 0, this.size.width, this.size.height);
    context.globalAlpha = 1;
    if (this.labels && !this.near) context.drawImage(this.mask, 0, 0);
    if (this.sketch) this.drawSketch(this.sketch);
    if (this.cursor) this.drawCursor(this.cursor.point, this.cursor.radius);
  }

  /** @param {Sketch} sketch */
  drawSketch(sketch) {
    const { context } = this;
    const line = 1.5 / this.zoom;
    context.lineJoin = context.lineCap = 'round';
    context.strokeStyle = context.fillStyle = sketch.colour;
    context.beginPath();
    sketch.points.forEach((point, index) => (index ? context.lineTo(point.x, point.y) : context.moveTo(point.x, point.y)));
    if (sketch.width) {
      if (sketch.points.length === 1) context.lineTo(sketch.points[0].x + 0.001, sketch.points[0].y);
      context.globalAlpha = 0.6;
      context.lineWidth = sketch.width;
      context.stroke();
      context.globalAlpha = 1;
    } else if (sketch.points.length) {
      if (sketch.closed) context.closePath();
      this.strokeTwice(line);
      if (!sketch.box) sketch.points.forEach((point) => this.dot(point, 3 / this.zoom));
    }
    for (const { point, positive } of sketch.marks || []) {
      context.fillStyle = positive ? '#12b76a' : '#e02424';
      this.dot(point, 5 / this.zoom);
    }
  }

  /** @param {number} line */
  strokeTwice(line) {
    const { context } = this;
    context.lineWidth = 3 * line;
    context.strokeStyle = '#000';
    context.stroke();
    context.lineWidth = 1.2 * line;
    context.strokeStyle = '#fff';
    context.stroke();
  }

  /**
   * @param {Point} point
   * @param {number} radius
   */
  dot(point, radius) {
    this.context.beginPath();
    this.context.arc(point.x, point.y, radius, 0, 7);
    this.context.fill();
  }

  /**
   * @param {Point} point
   * @param {number} radius
   */
  drawCursor(point, radius) {
    const { context } = this;
    const arm = 6 / this.zoom;
    context.beginPath();
    context.arc(point.x, point.y, radius, 0, 7);
    context.moveTo(point.x - arm, point.y);
    context.lineTo(point.x + arm, point.y);
    context.moveTo(point.x, point.y - arm);
    context.lineTo(point.x, point.y + arm);
    this.strokeTwice(1 / this.zoom);
  }
}
