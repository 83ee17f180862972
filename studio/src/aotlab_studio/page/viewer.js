// @ts-check
/** Canvas with the frame, its masks and unfinished input (widths in CSS pixels); zoom and pan. */

import { drawOncePerRefresh, watchDensity } from './dom.js';

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{point: Point, positive: boolean}} Mark */
/** @typedef {{points: Point[], closed: boolean, corners: boolean, width?: number, color: string}} Sketch */

/** Lines around light and dark objects: black and white, 60 % opaque, as canvases store colors. */
const [DARK, LIGHT] = [0x99000000, 0x99ffffff];

export class Viewer {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} readout shows the pixel under the pointer and the zoom */
  constructor(canvas, readout) {
    this.canvas = canvas;
    this.readout = readout;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.mask = document.createElement('canvas');
    /** @type {ImageBitmap | null} */
    this.image = null;
    /** Nearby frame, shown until the requested one is decoded. @type {ImageBitmap | null} */
    this.near = null;
    /** @type {import('./frames.js').Labels | null} */
    this.labels = null;
    this.size = { width: 1, height: 1 };
    /** Pixels of the canvas per CSS pixel. */
    this.ratio = devicePixelRatio;
    /** Pixels of the canvas per pixel of the frame; `left` and `top` are pixels of the canvas. */
    this.zoom = 1;
    this.left = 0;
    this.top = 0;
    this.fitted = true;
    this.look = { fill: true, outline: true, opacity: 0.45 };
    /** @type {Map<number, [number, number, number]>} */
    this.colors = new Map();
    /** Objects of the last call of `setObjects`, as JSON. */
    this.drawn = '';
    /** Names of objects by id. @type {Map<number, string>} */
    this.names = new Map();
    /** Unfinished input, and input that was sent and is not answered. @type {Sketch[]} */
    this.sketches = [];
    /** @type {Mark[]} */
    this.marks = [];
    /** @type {{point: Point, radius: number} | null} */
    this.cursor = null;
    /** Outlines [x, y] of the mask that a click would make. @type {[number, number][][]} */
    this.preview = [];
    /** Position of the pointer in CSS pixels of the canvas. @type {Point | null} */
    this.pointer = null;
    /** Draw at the next screen refresh. */
    this.draw = drawOncePerRefresh(() => this.drawNow());
    new ResizeObserver(() => this.resize()).observe(canvas);
    watchDensity(() => this.resize());
  }

  /** @param {[number, number]} size height and width of the frames */
  setSize([height, width]) {
    const first = this.size.width === 1;
    this.size = { width, height };
    if (first) this.fit();
  }

  /** @param {{id: number, name: string, color: string}[]} objects those that are drawn */
  setObjects(objects) {
    const key = JSON.stringify(objects.map(({ id, name, color }) => [id, name, color]));
    if (key === this.drawn) return;
    this.drawn = key;
    this.names = new Map(objects.map(({ id, name }) => [id, name]));
    this.colors = new Map(objects.map(({ id, color }) => {
      const value = parseInt(color.slice(1), 16);
      return [id, [value >> 16, (value >> 8) & 255, value & 255]];
    }));
    this.paintMask();
  }

  /** @param {{fill?: boolean, outline?: boolean, opacity?: number}} changes */
  setStyle(changes) {
    this.look = { ...this.look, ...changes };
    this.paintMask();
  }

  /** @param {ImageBitmap | null} image null: keep the shown one @param {import('./frames.js').Labels} labels */
  show(image, labels) {
    if (image) {
      this.image = image;
      this.near = null;
    }
    this.labels = labels;
    this.preview = []; // of the masks before
    this.paintMask();
  }

  /** Show a nearby frame while the requested one is decoded: dimmed, without masks. @param {ImageBitmap} image */
  showNear(image) {
    this.near = image;
    this.draw();
  }

  /** Show the frame from before `showNear` again. */
  hideNear() {
    this.near = null;
    this.draw();
  }

  resize() {
    const ratio = devicePixelRatio;
    const factor = ratio / this.ratio;
    [this.zoom, this.left, this.top, this.ratio] = [this.zoom * factor, this.left * factor, this.top * factor, ratio];
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

  /** Convert CSS pixels to pixels of the frame. @param {number} pixels */
  toFramePixels(pixels) {
    return (pixels * this.ratio) / this.zoom;
  }

  /** Zoom about a point of the canvas, or about its center. @param {number} factor @param {Point} [about] CSS pixels */
  zoomBy(factor, about) {
    const x = about ? about.x * this.ratio : this.canvas.width / 2;
    const y = about ? about.y * this.ratio : this.canvas.height / 2;
    const zoom = Math.min(64, Math.max(0.05, this.zoom * factor));
    this.left = x - ((x - this.left) * zoom) / this.zoom;
    this.top = y - ((y - this.top) * zoom) / this.zoom;
    this.zoom = zoom;
    this.fitted = false;
    this.draw();
  }

  /** @param {number} dx CSS pixels @param {number} dy */
  pan(dx, dy) {
    this.left += dx * this.ratio;
    this.top += dy * this.ratio;
    this.fitted = false;
    this.draw();
  }

  /** Return the point of the frame under a point of the page. @param {{clientX: number, clientY: number}} event @returns {Point} */
  toImagePoint(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.toFrame({ x: event.clientX - box.left, y: event.clientY - box.top });
  }

  /** Return the point of the frame at a place in CSS pixels of the canvas. @param {Point} place */
  toFrame({ x, y }) {
    return { x: (x * this.ratio - this.left) / this.zoom, y: (y * this.ratio - this.top) / this.zoom };
  }

  /** Return the place of a point of the frame in CSS pixels of the canvas. @param {Point} point */
  placeOf({ x, y }) {
    return { x: (x * this.zoom + this.left) / this.ratio, y: (y * this.zoom + this.top) / this.ratio };
  }

  /** Return the colors inside, on the outline and around it, by object. */
  makeShades() {
    const alpha = this.look.fill ? Math.round(this.look.opacity * 255) : 0;
    /** @type {Map<number, [number, number, number]>} */
    const shades = new Map();
    for (const [id, [red, green, blue]] of this.colors) {
      const color = red | (green << 8) | (blue << 16);
      const light = 0.3 * red + 0.59 * green + 0.11 * blue > 90;
      shades.set(id, [(color | (alpha << 24)) >>> 0, (color | (255 << 24)) >>> 0, light ? DARK : LIGHT]);
    }
    return shades;
  }

  /** Redraw the masks, after masks, colors or look changed. */
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
    const shades = this.makeShades();
    /** Ids of the visible objects. @type {Set<number>} */
    const shown = new Set();
    const { outline } = this.look;
    let [index, last] = [0, 0];
    /** @type {[number, number, number] | undefined} */
    let shade;
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, index += 1) {
        const id = ids[index];
        if (id === 0) continue;
        if (id !== last) {
          last = id;
          shade = shades.get(id);
          if (shade) shown.add(id);
        }
        if (!shade) continue;
        const edge = outline && (
          (x > 0 && ids[index - 1] !== id) || (x < width - 1 && ids[index + 1] !== id)
          || (y > 0 && ids[index - width] !== id) || (y < height - 1 && ids[index + width] !== id));
        pixels[index] = edge ? shade[1] : shade[0];
        if (!edge) continue;
        // keeps the outline visible on a background of its color
        const around = shade[2];
        if (x > 0 && ids[index - 1] === 0) pixels[index - 1] = around;
        if (x < width - 1 && ids[index + 1] === 0) pixels[index + 1] = around;
        if (y > 0 && ids[index - width] === 0) pixels[index - width] = around;
        if (y < height - 1 && ids[index + width] === 0) pixels[index + width] = around;
      }
    }
    context.putImageData(image, 0, 0);
    const names = [...this.names].filter(([id]) => shown.has(id)).map(([, name]) => name);
    this.canvas.setAttribute('aria-description', names.length ? `Masks: ${names.join(', ')}` : 'No masks');
    this.draw();
  }

  /** Show the pixel under the pointer and the zoom. */
  showPlace() {
    const { pointer, readout } = this;
    const floor = (/** @type {number} */ value) => Math.floor(value + 1e-6);
    const point = pointer && this.toFrame(pointer);
    const place = point ? `${floor(point.x)}, ${floor(point.y)} · ` : '';
    readout.textContent = `${place}${Math.round((100 * this.zoom) / this.ratio)} %`;
  }

  drawNow() {
    const { context, canvas } = this;
    this.showPlace();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const image = this.near || this.image;
    if (!image) return;
    context.setTransform(this.zoom, 0, 0, this.zoom, this.left, this.top);
    context.imageSmoothingEnabled = this.zoom < 3;
    context.globalAlpha = this.near ? 0.5 : 1;
    context.drawImage(image, 0, 0, this.size.width, this.size.height);
    context.globalAlpha = 1;
    if (this.labels && !this.near) context.drawImage(this.mask, 0, 0);
    const css = (/** @type {number} */ pixels) => this.toFramePixels(pixels);
    drawPreview(context, this.preview, css);
    for (const sketch of this.sketches) drawSketch(context, sketch, css);
    for (const mark of this.marks) drawMark(context, mark, css);
    if (this.cursor) drawCursor(context, this.cursor, css);
  }
}

/** @typedef {CanvasRenderingContext2D} Context */

/**
 * @param {Context} context in pixels of the frame
 * @param {Sketch} sketch
 * @param {(pixels: number) => number} css CSS pixels as pixels of the frame
 */
function drawSketch(context, sketch, css) {
  const { points, width } = sketch;
  context.lineJoin = context.lineCap = 'round';
  context.strokeStyle = context.fillStyle = sketch.color;
  context.beginPath();
  points.forEach((point, index) => (index ? context.lineTo(point.x, point.y) : context.moveTo(point.x, point.y)));
  if (width && points.length) {
    if (points.length === 1) context.lineTo(points[0].x + 0.001, points[0].y);
    context.globalAlpha = 0.6;
    context.lineWidth = width;
    context.stroke();
    context.globalAlpha = 1;
  } else if (points.length) {
    if (sketch.closed) context.closePath();
    strokeTwice(context, css(1.5));
    if (sketch.corners) points.forEach((point) => disc(context, point, css(3)));
  }
}

/**
 * Draw a plus or minus in a ring, in black and white, which no object has.
 * @param {Context} context
 * @param {Mark} mark
 * @param {(pixels: number) => number} css
 */
function drawMark(context, { point: { x, y }, positive }, css) {
  context.fillStyle = '#000';
  disc(context, { x, y }, css(8));
  context.fillStyle = '#fff';
  disc(context, { x, y }, css(6.5));
  context.strokeStyle = '#000';
  context.lineWidth = css(2);
  context.beginPath();
  context.moveTo(x - css(3.5), y);
  context.lineTo(x + css(3.5), y);
  if (positive) {
    context.moveTo(x, y - css(3.5));
    context.lineTo(x, y + css(3.5));
  }
  context.stroke();
}

/** @param {Context} context @param {[number, number][][]} outlines @param {(pixels: number) => number} css */
function drawPreview(context, outlines, css) {
  context.beginPath();
  for (const outline of outlines) {
    outline.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
  }
  context.fillStyle = 'rgba(255, 255, 255, 0.25)';
  context.fill('evenodd');
  strokeTwice(context, css(1));
}

/** @param {Context} context @param {{point: Point, radius: number}} cursor @param {(pixels: number) => number} css */
function drawCursor(context, { point, radius }, css) {
  const length = css(6);
  context.beginPath();
  context.arc(point.x, point.y, radius, 0, 7);
  context.moveTo(point.x - length, point.y);
  context.lineTo(point.x + length, point.y);
  context.moveTo(point.x, point.y - length);
  context.lineTo(point.x, point.y + length);
  strokeTwice(context, css(1));
}

/** @param {Context} context @param {number} line */
function strokeTwice(context, line) {
  context.lineWidth = 3 * line;
  context.strokeStyle = '#000';
  context.stroke();
  context.lineWidth = 1.2 * line;
  context.strokeStyle = '#fff';
  context.stroke();
}

/** @param {Context} context @param {Point} point @param {number} radius */
function disc(context, point, radius) {
  context.beginPath();
  context.arc(point.x, point.y, radius, 0, 7);
  context.fill();
}
