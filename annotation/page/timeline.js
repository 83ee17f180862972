// @ts-check
/** Timeline under the video: a row per object, a column per frame; a click seeks and chooses the row's object. */

import { onNextPaint } from './drawing.js';

const ROW = 14;
const TOP = 12;

/** Rows that have room from the start, so that the frame does not move with each new object. */
const LEAST = 4;

export class Timeline {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} preview
   * @param {(frame: number) => void} seek
   * @param {(id: number) => void} choose called with the object whose row is clicked
   */
  constructor(canvas, preview, seek, choose) {
    this.canvas = canvas;
    this.preview = preview;
    this.seek = seek;
    this.choose = choose;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.count = 1;
    this.frame = 0;
    /** @type {{id: number, name: string, colour: string}[]} */
    this.objects = [];
    /** @type {Map<number, string[]>} */
    this.rows = new Map();
    /** @type {number[]} */
    this.checks = [];
    this.dragging = false;
    this.strips = document.createElement('canvas');
    this.stale = true;
    this.draw = onNextPaint(() => this.drawNow());
    new ResizeObserver(() => this.redraw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
    canvas.addEventListener('pointerdown', (event) => this.press(event));
    canvas.addEventListener('pointermove', (event) => this.hover(event));
    canvas.addEventListener('pointerup', () => { this.dragging = false; });
    canvas.addEventListener('pointerleave', () => { preview.hidden = true; });
  }

  /** @param {Record<string, string>} strips */
  setStrips(strips) {
    this.rows = new Map(Object.entries(strips).map(([id, row]) => [Number(id), [...row]]));
    this.redraw();
  }

  /** @param {{id: number, name: string, colour: string}[]} objects */
  setObjects(objects) {
    this.objects = objects;
    this.redraw();
  }

  /** @param {number[]} frames those to check */
  setChecks(frames) {
    this.checks = frames;
    this.redraw();
  }

  /** @param {number} frame the one that shows */
  setFrame(frame) {
    this.frame = frame;
    this.draw();
  }

  /**
   * @param {number} frame
   * @param {Record<string, string>} codes
   */
  setCodes(frame, codes) {
    for (const [id, code] of Object.entries(codes)) {
      const row = this.rows.get(Number(id)) || Array(this.count).fill('-');
      row[frame] = code;
      this.rows.set(Number(id), row);
    }
    this.redraw();
  }

  /** @param {PointerEvent} event */
  frameOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(this.count - 1, Math.max(0, Math.floor(share * this.count)));
  }

  /** The object whose row is under the pointer. @param {PointerEvent} event */
  objectAt(event) {
    return this.objects[Math.floor((event.clientY - this.canvas.getBoundingClientRect().top - TOP) / ROW)];
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.dragging = true;
    this.canvas.setPointerCapture(event.pointerId);
    const object = this.objectAt(event);
    if (object) this.choose(object.id);
    this.seek(this.frameOf(event));
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const frame = this.frameOf(event);
    if (this.dragging) this.seek(frame);
    this.canvas.title = this.objectAt(event)?.name || '';
    const source = `frame/${frame}?width=160`;
    if (this.preview.getAttribute('src') !== source) this.preview.src = source;
    const box = this.canvas.getBoundingClientRect();
    this.preview.style.left = `${Math.min(box.width - 164, Math.max(0, event.clientX - box.left - 82))}px`;
    this.preview.hidden = false;
  }

  /** Draw all anew; `draw` alone draws again where the frame is that shows. */
  redraw() {
    this.stale = true;
    this.draw();
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    const height = TOP + Math.max(LEAST, this.objects.length) * ROW + 2;
    if (this.canvas.clientHeight !== height) this.canvas.style.height = `${height}px`;
    const width = this.canvas.clientWidth;
    const ink = getComputedStyle(this.canvas).color;
    for (const canvas of this.stale ? [this.canvas, this.strips] : [this.canvas]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    if (this.stale) this.drawStrips(ratio, width, ink);
    const { context } = this;
    if (this.strips.width) context.drawImage(this.strips, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const column = width / this.count;
    const x = (this.frame + 0.5) * column;
    context.fillStyle = ink;
    context.fillRect(x - 1, 0, 2, height);
    context.globalAlpha = 0.18;
    context.fillRect(this.frame * column, 0, Math.max(2, column), height);
    context.globalAlpha = 1;
    this.canvas.setAttribute('aria-valuemax', String(this.count - 1));
    this.canvas.setAttribute('aria-valuenow', String(this.frame));
  }

  /**
   * What is the same whichever frame shows.
   * @param {number} ratio
   * @param {number} width
   * @param {string} ink
   */
  drawStrips(ratio, width, ink) {
    this.stale = false;
    const context = /** @type {CanvasRenderingContext2D} */ (this.strips.getContext('2d'));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const column = width / this.count;
    this.objects.forEach((object, index) => {
      const row = this.rows.get(object.id);
      if (row) drawRow(context, runsOf(row), { y: TOP + index * ROW, column, colour: object.colour, ink });
    });
    context.fillStyle = ink;
    for (const frame of this.checks) {
      context.beginPath();
      const x = (frame + 0.5) * column;
      context.moveTo(x - 4, 1);
      context.lineTo(x + 4, 1);
      context.lineTo(x, 9);
      context.fill();
    }
  }
}

/**
 * Stretches of equal codes.
 * @param {string[]} row
 * @returns {[string, number, number][]} code, first frame, number of frames
 */
export function runsOf(row) {
  /** @type {[string, number, number][]} */
  const runs = [];
  row.forEach((code, frame) => {
    const last = runs[runs.length - 1];
    if (last && last[0] === code) last[2] += 1;
    else runs.push([code, frame, 1]);
  });
  return runs;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[string, number, number][]} runs
 * @param {{y: number, column: number, colour: string, ink: string}} how
 */
function drawRow(context, runs, { y, column, colour, ink }) {
  const gap = column > 4 ? 1 : 0;
  for (const [code, first, length] of runs) {
    // where columns are wide, each frame has a box of its own
    for (let frame = first; frame < first + length; frame += gap ? 1 : length) {
      if (code === '-') break;
      const x = frame * column;
      const width = Math.max(1, gap ? column - gap : column * length);
      context.globalAlpha = 1;
      if (code === 'G' || code === 'g') {
        context.fillStyle = ink;
        context.fillRect(x, y, width, ROW - 2);
        context.fillStyle = code === 'G' ? colour : '#888888';
        context.fillRect(x, y + 3, width, ROW - 8);
      } else if (code === 'l') {
        // two lines: no colour of an object looks like that
        context.fillStyle = '#e02424';
        context.fillRect(x, y + 1, width, 2);
        context.fillRect(x, y + ROW - 5, width, 2);
      } else if (code === 'a') {
        context.fillStyle = ink;
        context.fillRect(x, y + ROW / 2 - 1.5, width, 1);
      } else {
        context.globalAlpha = 0.25 + 0.075 * (Number(code) + 1);
        context.fillStyle = colour;
        context.fillRect(x, y + 1, width, ROW - 4);
      }
    }
  }
  context.globalAlpha = 1;
}

/**
 * What a screen reader says of a strip.
 * @param {string[] | undefined} row
 */
export function summary(row) {
  if (!row) return 'no masks yet';
  const count = (/** @type {string} */ codes) => row.filter((code) => codes.includes(code)).length;
  return `given on ${count('Gg')} frames, tracked on ${count('0123456789')}, absent on ${count('a')}, lost on ${count('l')}`;
}
