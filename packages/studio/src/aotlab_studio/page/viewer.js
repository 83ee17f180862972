/** Canvas with the frame, its masks and unfinished input (widths in CSS pixels); zoom and pan. */

import { drawOncePerRefresh, element, elements } from './dom.js';
import { selection } from './selection.js';
import { state, subscribe } from './store.js';

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{point: Point, positive: boolean}} Click */
/** @import { Tool } from './store.js' */
/** @typedef {{tool: Tool, points: Point[], width?: number, color: string, clicks: Click[]}} Sketch */

/** Halos of light and dark objects: black and white, 60 % opaque. */
const [DARK, LIGHT] = [0x99000000, 0x99ffffff];

export const getDistance = (/** @type {Point} */ a, /** @type {Point} */ b) => Math.hypot(a.x - b.x, a.y - b.y);

/** Return points as rounded pairs. @param {Point[]} points @returns {[number, number][]} */
export const toPairs = (points) => points.map(({ x, y }) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);

class Viewer {
  constructor() {
    const canvas = this.canvas = element('view');
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.layers = [1, 2].map(() => document.createElement('canvas')); // masks: filled and opaque; their outlines
    this.images = [new ImageData(1, 1), new ImageData(1, 1)]; // their pixels, kept as new ones take longer
    this.size = { width: 1, height: 1 };
    this.zoom = 1; // CSS pixels per pixel of the frame; `left` and `top` are CSS pixels of the canvas
    this.left = 0;
    this.top = 0;
    this.isFitted = true;
    /** Visible objects by id; colors have red in the lowest byte; `halo` is the color around the outline. */
    this.objects = /** @type {Map<number, {name: string, color: number, halo: number}>} */ (new Map());
    this.sketches = /** @type {Sketch[]} */ ([]); // unfinished input, and input that was sent and is not answered
    this.cursor = /** @type {Point | null} */ (null); // point of the brush or of the keyboard's cursor
    this.cursorRadius = 0; // radius of the brush in pixels of the frame; 0: another tool
    this.preview = /** @type {[number, number][][]} */ ([]); // outlines [x, y] of the mask that a change would make
    this.pointer = /** @type {Point | null} */ (null); // position of the pointer in CSS pixels of the canvas
    this.requestDraw = drawOncePerRefresh(() => this.drawNow()); // draw at the next screen refresh
    new ResizeObserver(() => {
      if (this.isFitted) this.fit();
      this.drawNow(); // before the browser shows the resized canvas
    }).observe(canvas);
    selection.subscribe(() => this.showObjects());
    subscribe(['shown'], () => {
      this.preview = []; // of the previous masks
      this.paintMask();
    });
    subscribe(['placeholder'], () => this.requestDraw());
  }

  setSize(/** @type {[number, number]} */ [height, width]) {
    this.size = { width, height };
    this.images = this.layers.map(() => new ImageData(width, height));
    if (this.isFitted) this.fit();
  }

  showObjects() {
    const previousObjects = JSON.stringify([...this.objects]);
    const objects = state.project.objects.filter(({ id }) => selection.isVisible(id));
    this.objects = new Map(objects.map(({ id, name, color }) => {
      const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
      const halo = 0.3 * red + 0.59 * green + 0.11 * blue > 90 ? DARK : LIGHT;
      return [id, { name, color: red | (green << 8) | (blue << 16) | 0xff000000, halo }];
    }));
    if (JSON.stringify([...this.objects]) !== previousObjects) this.paintMask();
  }

  fit() {
    const { canvas: { clientWidth, clientHeight }, size: { width, height } } = this;
    this.zoom = Math.min(clientWidth / width, clientHeight / height);
    this.left = (clientWidth - this.zoom * width) / 2;
    this.top = (clientHeight - this.zoom * height) / 2;
    this.isFitted = true;
    this.requestDraw();
  }

  /** Zoom about a point of the canvas or its center. @param {number} factor @param {Point} [center] CSS pixels */
  zoomBy(factor, center) {
    const { x, y } = center ?? { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    const zoom = Math.min(64, Math.max(0.05, this.zoom * factor));
    this.left = x - ((x - this.left) * zoom) / this.zoom;
    this.top = y - ((y - this.top) * zoom) / this.zoom;
    this.zoom = zoom;
    this.isFitted = false;
    this.requestDraw();
  }

  /** @param {number} dx CSS pixels @param {number} dy */
  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.isFitted = false;
    this.requestDraw();
  }

  /** Pan a zoomed frame until a point of it is in view. @param {Point} point */
  scrollTo(point) {
    const { canvas: { clientWidth, clientHeight }, isFitted } = this;
    const { x, y } = this.frameToView(point);
    this.pan(Math.min(clientWidth, Math.max(0, x)) - x, Math.min(clientHeight, Math.max(0, y)) - y);
    this.isFitted = isFitted;
  }

  /** Return a point of the page in CSS pixels of the canvas. @param {{clientX: number, clientY: number}} event */
  clientToView({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  /** Return the point of the frame under a point of the page. @param {{clientX: number, clientY: number}} event */
  clientToFrame(event) {
    return this.viewToFrame(this.clientToView(event));
  }

  /** Return the point of the frame at a position in CSS pixels of the canvas. @param {Point} position */
  viewToFrame({ x, y }) {
    return { x: (x - this.left) / this.zoom, y: (y - this.top) / this.zoom };
  }

  /** Return the position of a point of the frame in CSS pixels of the canvas. @param {Point} point */
  frameToView({ x, y }) {
    return { x: x * this.zoom + this.left, y: y * this.zoom + this.top };
  }

  /** Return the id of the visible object at a point of the frame, or 0. @param {Point} point */
  findVisibleId({ x, y }) {
    const { shown: { labels } } = state;
    if (!labels || x < 0 || y < 0 || x >= labels.width || y >= labels.height) return 0;
    const id = labels.ids[Math.floor(y) * labels.width + Math.floor(x)];
    return this.objects.has(id) ? id : 0;
  }

  /** Paint the masks of the frame. */
  paintMask() {
    const { shown: { labels } } = state;
    if (!labels) return;
    this.paintLabels(labels);
    this.requestDraw();
    const { presentIds } = labels;
    const names = [...this.objects].filter(([id]) => presentIds.has(id)).map(([, { name }]) => name);
    this.canvas.ariaDescription = names.length ? `Masks: ${names.join(', ')}` : 'No masks';
  }

  /** Paint masks on the canvases for their areas and their outlines. @param {import('./frames.js').Labels} labels */
  paintLabels({ width, height, ids }) {
    const [fills, outlines] = this.images.map(({ data }) => new Uint32Array(data.buffer).fill(0));
    let [pixel, last, color, halo] = [0, 0, 0, 0];
    for (let y = 0; y < height; y += 1) {
      const [above, below] = [y ? -width : 0, y < height - 1 ? width : 0]; // the pixel itself at the edge
      for (let x = 0; x < width; x += 1, pixel += 1) {
        const id = ids[pixel];
        if (id === 0) continue;
        if (id !== last) {
          last = id;
          ({ color, halo } = this.objects.get(id) ?? { color: 0, halo: 0 });
        }
        if (!color) continue;
        fills[pixel] = color;
        const left = x ? -1 : 0;
        const right = x < width - 1 ? 1 : 0;
        if (ids[pixel + left] === id && ids[pixel + right] === id
          && ids[pixel + above] === id && ids[pixel + below] === id) continue;
        outlines[pixel] = color;
        for (const step of [left, right, above, below]) if (ids[pixel + step] === 0) outlines[pixel + step] = halo;
      }
    }
    for (const [index, canvas] of this.layers.entries()) {
      Object.assign(canvas, { width, height }).getContext('2d')?.putImageData(this.images[index], 0, 0);
    }
  }

  showReadout() {
    const floor = (/** @type {number} */ value) => Math.floor(value + 1e-6);
    const point = this.pointer && this.viewToFrame(this.pointer);
    const pixel = point ? `${floor(point.x)}, ${floor(point.y)} · ` : '';
    element('readout').textContent = `${pixel}${Math.round(100 * this.zoom)} %`;
    element('fit').hidden = this.isFitted;
  }

  drawNow() {
    const { context, canvas, zoom, left, top } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((edge) => Math.round(edge * ratio) || 1);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const { placeholder, shown: { labels } } = state;
    const image = placeholder || state.shown.image;
    if (!image) return;
    this.showReadout();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio * zoom, 0, 0, ratio * zoom, ratio * left, ratio * top);
    context.imageSmoothingEnabled = ratio * zoom < 3;
    context.globalAlpha = placeholder ? 0.5 : 1;
    context.drawImage(image, 0, 0, this.size.width, this.size.height);
    if (labels && !placeholder) {
      const [fill, outline, opacity] = elements('fill', 'outline', 'opacity');
      context.globalAlpha = opacity.valueAsNumber;
      if (fill.checked) context.drawImage(this.layers[0], 0, 0);
      context.globalAlpha = 1;
      if (outline.checked) context.drawImage(this.layers[1], 0, 0);
    }
    context.globalAlpha = 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawPreview();
    for (const sketch of this.sketches) this.drawSketch(sketch);
    if (this.cursor) this.drawCursor(this.frameToView(this.cursor));
  }

  /** Draw in CSS pixels. @param {Sketch} sketch */
  drawSketch({ tool, points, width = 0, color, clicks }) {
    const { context } = this;
    const positions = points.map((point) => this.frameToView(point));
    context.lineJoin = context.lineCap = 'round';
    context.strokeStyle = color;
    context.beginPath();
    tracePath(context, positions);
    if (width && positions.length) {
      if (positions.length === 1) context.lineTo(positions[0].x + 0.001, positions[0].y);
      context.globalAlpha = 0.6;
      context.lineWidth = width * this.zoom;
      context.stroke();
      context.globalAlpha = 1;
    } else if (positions.length) {
      if (tool.isClosedShape) context.closePath();
      strokeWithOutline(context, 1.5);
      if (tool.isPolygon) for (const position of positions) drawDisc(context, position, 3, color);
    }
    for (const click of clicks) this.drawClick(click);
  }

  /** Draw a plus or minus in a ring, in black and white, which no object has. @param {Click} click */
  drawClick({ point, positive }) {
    const { context } = this;
    const position = this.frameToView(point);
    drawDisc(context, position, 8, '#000');
    drawDisc(context, position, 6.5, '#fff');
    context.fillStyle = '#000';
    context.fillRect(position.x - 3.5, position.y - 1, 7, 2);
    if (positive) context.fillRect(position.x - 1, position.y - 3.5, 2, 7);
  }

  drawPreview() {
    const { context } = this;
    context.beginPath();
    for (const outline of this.preview) {
      tracePath(context, outline.map(([x, y]) => this.frameToView({ x: x + 0.5, y: y + 0.5 }))); // centers of pixels
      context.closePath();
    }
    context.fillStyle = 'rgba(255, 255, 255, 0.25)';
    context.fill('evenodd');
    strokeWithOutline(context, 1);
  }

  drawCursor(/** @type {Point} */ { x, y }) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, this.cursorRadius * this.zoom, 0, 7);
    context.rect(x - 6, y, 12, 0);
    context.rect(x, y - 6, 0, 12);
    strokeWithOutline(context, 1);
  }
}

function tracePath(/** @type {CanvasRenderingContext2D} */ context, /** @type {Point[]} */ positions) {
  positions.forEach(({ x, y }, index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
}

/** @param {CanvasRenderingContext2D} context @param {number} line width of the white one */
function strokeWithOutline(context, line) {
  for (const [width, color] of /** @type {const} */ ([[3, '#000'], [1.2, '#fff']])) {
    context.lineWidth = width * line;
    context.strokeStyle = color;
    context.stroke();
  }
}

/** @param {CanvasRenderingContext2D} context @param {Point} position @param {number} radius @param {string} color */
function drawDisc(context, { x, y }, radius, color) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
}

export const viewer = new Viewer();
