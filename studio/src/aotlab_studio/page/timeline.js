// @ts-check
/** Timeline under the video: names, ticks, a row per object, a column per frame. Sizes are CSS pixels.

 A click seeks and chooses the row's object; Ctrl and the wheel zoom, Shift and the wheel scroll. */

import { countText, drawOncePerRefresh, element, elements, watchDensity, wheelFactor } from './dom.js';
import { Thumbnails } from './thumbnails.js';

/** @typedef {{id: number, name: string, color: string, hidden: boolean}} Row */
/** Colors of the style sheet. @typedef {{ink: string, accent: string, empty: string, lost: string, outdated: string}} Colors */

const ROW_HEIGHT = 14;
const RULER_HEIGHT = 22;
/** Width of the column of names. */
const NAMES_WIDTH = 96;
/** Pixels from a handle within which it is dragged. */
const HANDLE_REACH = 7;
/** Smallest distance of two ticks. */
const MIN_TICK_DISTANCE = 64;
const TICK_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 1e5];

/** @param {CanvasRenderingContext2D} context @param {Row[]} objects @param {number} chosen @param {string} ink */
function drawNames(context, objects, chosen, ink) {
  context.textBaseline = 'middle';
  objects.forEach(({ id, name, color }, index) => {
    const y = RULER_HEIGHT + index * ROW_HEIGHT + ROW_HEIGHT / 2 - 1;
    context.fillStyle = color;
    context.fillRect(2, y - 4, 8, 8);
    context.fillStyle = ink;
    context.font = `${id === chosen ? 'bold ' : ''}11px system-ui, sans-serif`;
    let text = name;
    while (text.length > 1 && context.measureText(text).width > NAMES_WIDTH - 20) text = `${text.slice(0, -2)}…`;
    context.fillText(text, 14, y);
  });
}

/**
 * Draw frame numbers above the rows.
 * @param {CanvasRenderingContext2D} context
 * @param {{first: number, span: number, column: number, ink: string}} view
 */
function drawTicks(context, { first, span, column, ink }) {
  const step = TICK_STEPS.find((one) => one * column >= MIN_TICK_DISTANCE) || 1e6;
  context.fillStyle = ink;
  context.font = '10px system-ui, sans-serif';
  for (let frame = Math.ceil(first / step) * step; frame < first + span; frame += step) {
    const x = NAMES_WIDTH + (frame - first) * column;
    context.fillText(String(frame), x + 3, 6);
    context.globalAlpha = 0.4;
    context.fillRect(x, 0, 1, RULER_HEIGHT - 2);
    context.globalAlpha = 1;
  }
}

/** Return the runs of equal codes. @param {string[]} row @returns {[string, number, number][]} code, first frame, number of frames */
function findRuns(row) {
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
 * @param {{x: number, y: number, column: number, color: string}} place `x` of the first frame
 * @param {Colors} colors
 */
function drawRow(context, runs, { x: left, y, column, color }, colors) {
  const gap = column > 4 ? 1 : 0;
  for (const [code, first, length] of runs) {
    // if columns are wide, each frame has its own box
    for (let frame = first; frame < first + length; frame += gap ? 1 : length) {
      if (code === '-') break;
      const x = left + frame * column;
      const width = Math.max(1, gap ? column - gap : column * length);
      context.globalAlpha = 1;
      if (code === 'G' || code === 'g') {
        context.fillStyle = colors.ink;
        context.fillRect(x, y, width, ROW_HEIGHT - 2);
        context.fillStyle = code === 'G' ? color : colors.empty;
        context.fillRect(x, y + 3, width, ROW_HEIGHT - 8);
      } else if (code === 'l') {
        // two lines, unlike any object
        context.fillStyle = colors.lost;
        context.fillRect(x, y + 1, width, 2);
        context.fillRect(x, y + ROW_HEIGHT - 5, width, 2);
      } else if (code === 'a') {
        context.fillStyle = colors.ink;
        context.fillRect(x, y + ROW_HEIGHT / 2 - 1.5, width, 1);
      } else {
        context.globalAlpha = 0.25 + 0.075 * (Number(code) + 1);
        context.fillStyle = color;
        context.fillRect(x, y + 1, width, ROW_HEIGHT - 4);
      }
    }
  }
  context.globalAlpha = 1;
}

/**
 * Hatch frames whose tracked masks are older than a correction.
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, width: number, height: number, color: string}} place
 */
function drawOutdated(context, { x, width, height, color }) {
  context.save();
  context.beginPath();
  context.rect(x, RULER_HEIGHT - 4, width, height + 4);
  context.clip();
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let left = x - height; left < x + width; left += 6) {
    context.moveTo(left, RULER_HEIGHT + height);
    context.lineTo(left + height + 4, RULER_HEIGHT - 4);
  }
  context.stroke();
  context.fillStyle = color;
  context.fillRect(x, RULER_HEIGHT - 4, width, 3);
  context.restore();
}

/**
 * Draw a handle of the range to track: a bar with a flag that points into the range.
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, first: boolean, height: number, color: string}} place `first`: the range is to the right
 */
function drawHandle(context, { x, first, height, color }) {
  context.fillStyle = color;
  context.fillRect(x - 1, 0, 2, height);
  context.beginPath();
  context.roundRect(first ? x - 1 : x - 6, RULER_HEIGHT - 12, 7, 12, first ? [0, 4, 4, 0] : [4, 0, 0, 4]);
  context.fill();
}

/** Return the description of a row for screen readers. @param {string[] | undefined} row */
export function describeRow(row) {
  if (!row) return 'no masks yet';
  const [drawn, tracked, absent, lost] = ['Gg', '0123456789', 'a', 'l']
    .map((codes) => row.filter((code) => codes.includes(code)).length);
  return `drawn on ${countText(drawn, 'frame')}, tracked on ${tracked}, absent on ${absent}, lost on ${lost}`;
}

/** Number of frames at the closest zoom. */
const MIN_SPAN = 8;

/** Smallest number of rows, so that the layout does not move with each new object. */
const MIN_ROWS = 4;

export class Timeline {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    const canvas = element('strips');
    this.canvas = canvas;
    this.preview = element('preview');
    /** Range to track; null: to the start or end. @type {[number | null, number | null]} */
    this.range = [null, null];
    /** Index of the handle in `range` that is dragged, or -1. */
    this.handle = -1;
    this.thumbnails = new Thumbnails(app);
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.count = 1;
    this.frame = 0;
    /** First frame in view and number of frames in view; Infinity: all. */
    this.first = 0;
    this.zoomed = Infinity;
    /** @type {Row[]} */
    this.objects = [];
    this.chosen = 0;
    /** @type {Map<number, string[]>} */
    this.rows = new Map();
    /** Frames to check. @type {number[]} */
    this.checks = [];
    /** First and last frames with tracked masks older than a correction. @type {[number, number][]} */
    this.outdated = [];
    /** First and last frame that can be changed; the others are dimmed. @type {[number, number]} */
    this.clip = [0, Infinity];
    this.dragging = false;
    this.strips = document.createElement('canvas');
    this.needsRedraw = true;
    this.draw = drawOncePerRefresh(() => this.drawNow());
    const observer = new ResizeObserver(() => this.redraw());
    for (const shown of elements('strips', 'thumbnails')) observer.observe(shown);
    watchDensity(() => this.redraw());
    /** @type {Colors} */
    this.colors = readColors();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.colors = readColors();
      this.redraw();
    });
    canvas.addEventListener('pointerdown', (event) => this.press(event));
    canvas.addEventListener('pointermove', (event) => this.hover(event));
    canvas.addEventListener('lostpointercapture', () => {
      if (this.handle >= 0) this.app.tracking.sendRange();
      this.dragging = false;
      this.handle = -1;
    });
    canvas.addEventListener('pointerleave', () => { this.preview.hidden = true; });
    canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
  }

  /** Return the first and last frames with a result; null without any. @returns {[number, number] | null} */
  annotated() {
    let [first, last] = [this.count, -1];
    for (const row of this.rows.values()) {
      row.forEach((code, frame) => {
        if (code !== '-') [first, last] = [Math.min(first, frame), Math.max(last, frame)];
      });
    }
    return last < 0 ? null : [first, last];
  }

  /** Number of frames in view. */
  get span() {
    return Math.min(this.zoomed, this.count);
  }

  /** Width of a frame in CSS pixels. */
  get column() {
    return Math.max(1, this.canvas.clientWidth - NAMES_WIDTH) / this.span;
  }

  /** Return the left edge of a frame in CSS pixels. @param {number} frame */
  frameToX(frame) {
    return NAMES_WIDTH + (frame - this.first) * this.column;
  }

  /** @param {Partial<Pick<Timeline, 'count' | 'outdated' | 'clip' | 'checks' | 'range'>>} values */
  set(values) {
    Object.assign(this, values);
    this.redraw();
  }

  /** @param {Record<string, string>} strips */
  setStrips(strips) {
    this.rows = new Map(Object.entries(strips).map(([id, row]) => [Number(id), [...row]]));
    this.redraw();
  }

  /** @param {Row[]} objects @param {number} chosen */
  setObjects(objects, chosen) {
    this.objects = objects;
    this.chosen = chosen;
    for (const id of this.rows.keys()) if (!objects.some((object) => object.id === id)) this.rows.delete(id);
    this.thumbnails.setObjects(objects.filter((object) => !object.hidden));
    this.redraw();
  }

  /** Return the places of the handles in CSS pixels. */
  get handles() {
    const [first, last] = this.range;
    return [this.frameToX(first ?? 0), this.frameToX(Math.min(this.count, (last ?? this.count - 1) + 1))];
  }

  /** Return the index of the handle under the pointer, or -1. @param {MouseEvent} event */
  handleAt(event) {
    const box = this.canvas.getBoundingClientRect();
    if (event.clientY - box.top > RULER_HEIGHT) return -1;
    return this.handles.findIndex((x) => Math.abs(event.clientX - box.left - x) < HANDLE_REACH);
  }

  /** Move the dragged handle. @param {MouseEvent} event */
  moveHandle(event) {
    const [first, last] = [this.range[0] ?? 0, this.range[1] ?? this.count - 1];
    const place = Math.round(this.eventToPosition(event));
    const from = this.handle ? first : Math.max(0, Math.min(last, place));
    const to = this.handle ? Math.min(this.count - 1, Math.max(first, place - 1)) : last;
    this.app.tracking.setRange(from ? String(from) : '', to < this.count - 1 ? String(to) : '');
  }

  /** @param {number} frame the one that shows */
  setFrame(frame) {
    this.frame = frame;
    if (frame < this.first || frame >= this.first + this.span) this.show(frame - this.span / 2);
    this.draw();
  }

  /** @param {number} frame @param {Record<string, string>} codes */
  setCodes(frame, codes) {
    for (const [id, code] of Object.entries(codes)) {
      const row = this.rows.get(Number(id)) || [];
      while (row.length < this.count) row.push('-');
      row[frame] = code;
      this.rows.set(Number(id), row);
    }
    this.thumbnails.refresh(frame);
    this.redraw();
  }

  /** Scroll to a first frame. @param {number} first */
  show(first) {
    this.first = Math.max(0, Math.min(this.count - this.span, first));
    this.redraw();
  }

  /**
   * Show fewer or more frames.
   * @param {number} factor above 1: more
   * @param {number} [about] the frame that stays where it is; the one that shows if not given
   */
  zoomBy(factor, about = this.frame + 0.5) {
    const share = (about - this.first) / this.span;
    this.zoomed = Math.max(MIN_SPAN, this.span * factor);
    if (this.zoomed >= this.count) this.zoomed = Infinity;
    this.show(about - share * this.span);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const along = event.deltaX || (event.shiftKey ? event.deltaY : 0);
    if (!event.ctrlKey && !along) return; // scrolls the rows
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(1 / wheelFactor(event), this.eventToPosition(event));
    else this.show(this.first + along / this.column);
  }

  /** Return the frame under the pointer, with its fraction. @param {MouseEvent} event */
  eventToPosition(event) {
    return this.first + (event.clientX - this.canvas.getBoundingClientRect().left - NAMES_WIDTH) / this.column;
  }

  /** @param {MouseEvent} event */
  eventToFrame(event) {
    return Math.min(this.count - 1, Math.max(0, Math.floor(this.eventToPosition(event))));
  }

  /** Return whether the pointer is on the names. @param {MouseEvent} event */
  isName(event) {
    return event.clientX - this.canvas.getBoundingClientRect().left < NAMES_WIDTH;
  }

  /** Return the object of the row under the pointer. @param {MouseEvent} event */
  objectAt(event) {
    const y = event.clientY - this.canvas.getBoundingClientRect().top;
    return this.objects[Math.floor((y - RULER_HEIGHT) / ROW_HEIGHT)];
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.handle = this.handleAt(event);
    if (this.handle >= 0) {
      this.canvas.focus({ preventScroll: true }); // the fields of the range take no value while they have the focus
      this.canvas.setPointerCapture(event.pointerId);
      return;
    }
    const object = this.objectAt(event);
    if (object) this.app.choose(object.id);
    if (this.isName(event)) return;
    this.dragging = true;
    this.canvas.setPointerCapture(event.pointerId);
    this.app.playback.seek(this.eventToFrame(event));
  }

  /** @param {PointerEvent} event */
  hover(event) {
    this.canvas.style.cursor = this.handle >= 0 || this.handleAt(event) >= 0 ? 'ew-resize' : '';
    if (this.handle >= 0) {
      this.moveHandle(event);
      return;
    }
    const frame = this.eventToFrame(event);
    if (this.dragging) this.app.playback.seek(frame);
    this.canvas.title = this.objectAt(event)?.name || '';
    this.preview.hidden = this.isName(event) && !this.dragging;
    if (this.preview.hidden) return;
    const source = this.app.frames.address(frame, 160);
    if (this.preview.getAttribute('src') !== source) this.preview.src = source;
    const box = this.canvas.getBoundingClientRect();
    this.preview.style.left = `${Math.min(box.width - 164, Math.max(0, event.clientX - box.left - 82))}px`;
  }

  /** Redraw everything; `draw` only moves the mark of the shown frame. */
  redraw() {
    this.needsRedraw = true;
    this.draw();
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    const height = RULER_HEIGHT + Math.max(MIN_ROWS, this.objects.length) * ROW_HEIGHT + 2;
    if (this.canvas.clientHeight !== height) this.canvas.style.height = `${height}px`;
    const { context, colors: { ink, accent: color } } = this;
    const width = this.canvas.clientWidth;
    for (const canvas of this.needsRedraw ? [this.canvas, this.strips] : [this.canvas]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    if (this.needsRedraw) this.drawStrips(ratio);
    if (this.strips.width) context.drawImage(this.strips, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.handles.forEach((place, index) => {
      if (place < NAMES_WIDTH - 1 || place > width + 1) return;
      drawHandle(context, { x: Math.min(place, width - 1), first: !index, height, color });
    });
    const x = this.frameToX(this.frame);
    context.fillStyle = ink;
    context.fillRect(x + this.column / 2 - 1, 0, 2, height);
    context.globalAlpha = 0.18;
    context.fillRect(x, 0, Math.max(2, this.column), height);
    context.globalAlpha = 1;
    const inView = `frames ${Math.ceil(this.first)} to ${Math.floor(this.first + this.span) - 1} in view`;
    this.canvas.ariaValueMax = String(this.count - 1);
    this.canvas.ariaValueNow = String(this.frame);
    this.canvas.ariaValueText = `Frame ${this.frame}; ${inView}`;
    const outdated = this.outdated.map(([start, end]) => `${start} to ${end}`).join(', ');
    this.canvas.ariaDescription = outdated && `Outdated: ${outdated}`;
  }

  /** Draw everything but the mark of the shown frame. @param {number} ratio */
  drawStrips(ratio) {
    this.needsRedraw = false;
    const { first, span, column, colors, colors: { ink } } = this;
    const context = /** @type {CanvasRenderingContext2D} */ (this.strips.getContext('2d'));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawNames(context, this.objects, this.chosen, ink);
    context.beginPath();
    context.rect(NAMES_WIDTH, 0, this.canvas.clientWidth, this.strips.height);
    context.clip();
    drawTicks(context, { first, span, column, ink });
    const from = Math.floor(first);
    this.objects.forEach(({ id, color }, index) => {
      const runs = findRuns((this.rows.get(id) || []).slice(from, Math.ceil(first + span)));
      drawRow(context, runs, { x: this.frameToX(from), y: RULER_HEIGHT + index * ROW_HEIGHT, column, color }, colors);
    });
    const height = this.objects.length * ROW_HEIGHT;
    for (const [start, end] of this.outdated) {
      drawOutdated(context, { x: this.frameToX(start), width: (end + 1 - start) * column, height, color: colors.outdated });
    }
    const end = this.frameToX(Math.min(this.count, this.clip[1] + 1));
    context.fillStyle = colors.empty;
    context.globalAlpha = 0.75;
    context.fillRect(NAMES_WIDTH, 0, this.frameToX(this.clip[0]) - NAMES_WIDTH, this.strips.height);
    context.fillRect(end, 0, this.frameToX(this.count) - end, this.strips.height);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    for (const frame of this.checks) {
      context.beginPath();
      const x = this.frameToX(frame + 0.5);
      context.moveTo(x - 4, 12);
      context.lineTo(x + 4, 12);
      context.lineTo(x, 20);
      context.fill();
    }
    this.thumbnails.show({ left: NAMES_WIDTH, width: this.canvas.clientWidth - NAMES_WIDTH, first, span });
  }
}

/** @returns {Colors} */
function readColors() {
  const style = getComputedStyle(document.documentElement);
  const read = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`);
  return { ink: read('text'), accent: read('accent'), empty: read('empty'), lost: read('lost'), outdated: read('outdated') };
}
