/** Timeline under the video: names, ticks, a row per object, a column per frame. Sizes are CSS pixels.

 A click seeks and selects the row's object; Ctrl and the wheel zoom, Shift and the wheel scroll. */

import {
  CoalescedTask, drawOncePerRefresh, element, elements, getWheelFactor, observeDensity, scrollTo, showError,
} from './dom.js';
import { Thumbnails } from './thumbnails.js';

/** @typedef {import('./protocol.js').ObjectInfo} Item */
/** @typedef {import('./protocol.js').Timeline} Marks */

const ROW_HEIGHT = 14;
const RULER_HEIGHT = 22;
/** Width of the column of names. */
const NAMES_WIDTH = 96;
/** Pixels from a handle within which it is dragged. */
const HANDLE_REACH = 7;
/** Smallest movement that drags a handle; a smaller one is a click. */
const MIN_DRAG = 3;
/** Smallest distance of two ticks. */
const MIN_TICK_DISTANCE = 64;
/** Number of frames at the largest zoom. */
const MIN_SPAN = 8;
/** Smallest number of rows, so that the layout does not move with each new object. */
const MIN_ROWS = 4;
const TICK_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 1e5];

const NO_MARK = '-';
/** @typedef {'text' | 'accent' | 'empty' | 'lost' | 'outdated' | 'accepted'} Color of the style sheet */
/**
 * Bars of a mark in its row: top, height and color; by default, the object's. Marks without bars are digits: tracked,
 * from low to high confidence.
 * @type {Record<string, [number, number, Color?][]>}
 */
const BARS = {
  [NO_MARK]: [],
  G: [[0, 12, 'text'], [3, 6]], // drawn
  g: [[0, 12, 'text'], [3, 6, 'empty']], // drawn as absent
  a: [[5.5, 1, 'text']], // absent
  l: [[1, 2, 'lost'], [9, 2, 'lost']], // lost: two lines, unlike any object
};

/** @param {string | undefined} mark */
export const isDrawn = (mark) => mark === 'G' || mark === 'g';

export class Timeline {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    const canvas = this.canvas = element('strips');
    /** Index of the pressed handle of the range to track, or -1. */
    this.handleIndex = -1;
    /** Frame and x of the last press, whether the pointer has moved from there, and whether it seeks. */
    this.lastPress = { frame: 0, x: 0, moved: false, seeks: false };
    /** Press of a finger, which acts when lifted or moved sideways: up and down scrolls. @type {(() => void) | null} */
    this.pendingPress = null;
    this.thumbnails = new Thumbnails(app);
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    /** First frame in view and number of frames in view; Infinity: all. */
    this.first = 0;
    this.maxSpan = Infinity;
    /** Marks of frames by object id. @type {Map<number, string[]>} */
    this.marks = new Map();
    this.fetchTask = new CoalescedTask(() => (
      app.connection.call('timeline', {}).then(({ result }) => this.setMarks(result), showError)));
    this.style = getComputedStyle(canvas); // follows the color scheme
    this.draw = drawOncePerRefresh(() => this.drawNow());
    const observer = new ResizeObserver(() => this.draw());
    for (const target of elements('strips', 'thumbnails')) observer.observe(target);
    observeDensity(this.draw);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
    canvas.addEventListener('pointerdown', (event) => this.pressPointer(event));
    canvas.addEventListener('pointermove', (event) => this.movePointer(event));
    canvas.addEventListener('pointercancel', () => {
      this.pendingPress = null;
      this.handleIndex = -1;
      app.tracking.showRange();
    });
    canvas.addEventListener('lostpointercapture', () => {
      this.runPress();
      if (this.handleIndex >= 0 && this.lastPress.moved) app.tracking.sendRange();
      else if (this.handleIndex >= 0) app.playback.seek(this.lastPress.frame); // a click
      this.handleIndex = -1;
    });
    element('zoom-in').onclick = () => this.zoomBy(2);
    element('zoom-out').onclick = () => this.zoomBy(1 / 2);
    canvas.addEventListener('wheel', (event) => this.turnWheel(event), { passive: false });
  }

  /** Return the frames with a mark of any object. */
  findAnnotatedFrames() {
    const rows = this.app.objects.map(({ id }) => this.marks.get(id) ?? []);
    const isAnnotated = (/** @type {number} */ frame) => rows.some((row) => (row[frame] ?? NO_MARK) !== NO_MARK);
    return [...Array(this.count).keys()].filter(isAnnotated);
  }

  /** Whether an object has results of tracking. */
  get hasTracked() {
    const isTracked = (/** @type {string} */ mark) => mark !== NO_MARK && !isDrawn(mark);
    return this.app.objects.some(({ id }) => this.marks.get(id)?.some(isTracked));
  }

  /** Number of frames in view. */
  get span() {
    return Math.min(this.maxSpan, this.count);
  }

  /** Width of a frame in CSS pixels. */
  get columnWidth() {
    return Math.max(1, this.canvas.clientWidth - NAMES_WIDTH) / this.span;
  }

  /** Return the left edge of a frame in CSS pixels. @param {number} frame */
  frameToX(frame) {
    return NAMES_WIDTH + (frame - this.first) * this.columnWidth;
  }

  /** Show the marks of all frames; events have brought newer ones of some frames. @param {Marks} timeline */
  setMarks({ revision, marks }) {
    const previous = this.marks;
    this.marks = new Map(Object.entries(marks).map(([id, letters]) => [Number(id), [...letters]]));
    for (const [frame, own] of this.app.frames.revisions) {
      if (own > revision) for (const [id, row] of previous) this.setFrameMarks(frame, { [id]: row[frame] });
    }
    this.draw();
  }

  get count() {
    return this.app.playback.count;
  }

  /** @param {Color} name */
  getColor(name) {
    return this.style.getPropertyValue(`--${name}`);
  }

  /** Positions of the handles in CSS pixels. */
  get handlePositions() {
    const [first, last] = this.app.tracking.range;
    return [this.frameToX(first), this.frameToX(Math.min(this.count, last + 1))];
  }

  /** Return the index of the handle under the pointer, or -1. @param {MouseEvent} event */
  findHandle(event) {
    if (event.offsetY > RULER_HEIGHT) return -1;
    return this.handlePositions.findIndex((x) => x >= NAMES_WIDTH - 1 && Math.abs(event.offsetX - x) < HANDLE_REACH);
  }

  /** Move the dragged handle. @param {MouseEvent} event */
  moveHandle(event) {
    const { tracking, tracking: { range: [first, last] } } = this.app;
    const edge = Math.round(this.eventToPosition(event));
    if (this.handleIndex) tracking.setRange(first, Math.max(first, edge - 1));
    else tracking.setRange(Math.max(0, Math.min(last, edge)), last);
  }

  /** Mark the current frame, and scroll to it if it is not in view. */
  showFrame() {
    const { frame } = this.app.playback;
    if (frame < this.first || frame >= this.first + this.span) this.scrollToFrame(frame - this.span / 2);
    this.markFrame();
  }

  /** @param {number} frame @param {Record<string, string>} marks by object id */
  setFrameMarks(frame, marks) {
    for (const [id, mark] of Object.entries(marks)) {
      const row = this.marks.get(Number(id)) ?? Array(this.count).fill(NO_MARK);
      row[frame] = mark;
      this.marks.set(Number(id), row);
    }
    this.draw();
  }

  /** Scroll to a first frame. @param {number} first */
  scrollToFrame(first) {
    this.first = Math.max(0, Math.min(this.count - this.span, first));
    this.draw();
  }

  /** Zoom in about a frame, by default the current one. @param {number} factor @param {number} [anchor] */
  zoomBy(factor, anchor = this.app.playback.frame + 0.5) {
    const share = (anchor - this.first) / this.span;
    this.maxSpan = Math.max(MIN_SPAN, this.span / factor);
    if (this.maxSpan >= this.count) this.maxSpan = Infinity;
    this.scrollToFrame(anchor - share * this.span);
  }

  /** @param {WheelEvent} event */
  turnWheel(event) {
    const along = event.deltaX || (event.shiftKey ? event.deltaY : 0);
    if (!event.ctrlKey && !along) return; // the browser scrolls the rows
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(getWheelFactor(event), this.eventToPosition(event));
    else this.scrollToFrame(this.first + along / this.columnWidth);
  }

  /** Return the frame under the pointer, with its fraction. @param {MouseEvent} event */
  eventToPosition(event) {
    return this.first + (event.offsetX - NAMES_WIDTH) / this.columnWidth;
  }

  /** @param {MouseEvent} event */
  eventToFrame(event) {
    return Math.min(this.count - 1, Math.max(0, Math.floor(this.eventToPosition(event))));
  }

  /** Return the object of the row under the pointer. @param {MouseEvent} event */
  findObject(event) {
    return this.app.objects[Math.floor((event.offsetY - RULER_HEIGHT) / ROW_HEIGHT)];
  }

  /** @param {PointerEvent} event */
  pressPointer(event) {
    if (event.button) return;
    this.handleIndex = this.findHandle(event);
    const seeks = this.handleIndex < 0 && event.offsetX >= NAMES_WIDTH;
    this.lastPress = { frame: this.eventToFrame(event), x: event.offsetX, moved: false, seeks };
    const object = this.findObject(event);
    if (this.handleIndex >= 0) this.canvas.focus({ preventScroll: true }); // the fields of the range show it then
    else this.pendingPress = () => {
      if (object) this.app.selection.select(object.id);
      if (seeks) this.app.playback.seek(this.lastPress.frame);
    };
    if (event.pointerType !== 'touch') this.runPress();
    if (this.handleIndex >= 0 || seeks) this.canvas.setPointerCapture(event.pointerId);
  }

  runPress() {
    this.pendingPress?.();
    this.pendingPress = null;
  }

  /** @param {PointerEvent} event */
  movePointer(event) {
    this.canvas.style.cursor = this.handleIndex >= 0 || this.findHandle(event) >= 0 ? 'ew-resize' : '';
    this.lastPress.moved ||= Math.abs(event.offsetX - this.lastPress.x) >= MIN_DRAG;
    if (this.handleIndex >= 0) {
      if (this.lastPress.moved) this.moveHandle(event);
      return;
    }
    if (this.lastPress.moved) this.runPress();
    const isDragging = this.lastPress.seeks && this.canvas.hasPointerCapture(event.pointerId);
    if (isDragging && !this.pendingPress) this.app.playback.seek(this.eventToFrame(event));
    this.canvas.title = this.findObject(event)?.name || '';
  }

  /** Fit the canvas to its rows; return its height. */
  fitHeight() {
    const height = RULER_HEIGHT + Math.max(MIN_ROWS, this.app.objects.length) * ROW_HEIGHT + 2;
    if (this.canvas.clientHeight !== height) this.canvas.style.height = `${height}px`;
    return height;
  }

  /** @param {number} index */
  scrollToRow(index) {
    this.fitHeight();
    const top = RULER_HEIGHT + index * ROW_HEIGHT;
    scrollTo(element('rows'), index && top, top + ROW_HEIGHT);
  }

  drawNow() {
    const height = this.fitHeight();
    const { context, first, span, canvas, canvas: { clientWidth: width } } = this;
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    context.scale(devicePixelRatio, devicePixelRatio);
    const tops = this.app.objects.map((_, index) => RULER_HEIGHT + index * ROW_HEIGHT);
    context.textBaseline = 'middle';
    this.app.objects.forEach((object, index) => this.drawName(object, tops[index] + ROW_HEIGHT / 2 - 1));
    context.save();
    context.beginPath();
    context.rect(NAMES_WIDTH, 0, width, height);
    context.clip();
    this.drawTicks();
    this.app.objects.forEach((object, index) => this.drawRow(object, tops[index]));
    const { checked, editable_range: [firstEditable, lastEditable] } = this.app.state;
    context.fillStyle = this.getColor('accepted');
    for (const frame of checked) context.fillRect(this.frameToX(frame), RULER_HEIGHT - 3, this.columnWidth, 3);
    const end = this.frameToX(Math.min(this.count, lastEditable + 1)); // frames that cannot be changed are dimmed
    context.fillStyle = this.getColor('empty');
    context.globalAlpha = 0.75;
    context.fillRect(NAMES_WIDTH, 0, this.frameToX(firstEditable) - NAMES_WIDTH, height);
    context.fillRect(end, 0, this.frameToX(this.count) - end, height);
    context.globalAlpha = 1;
    context.fillStyle = this.getColor('text');
    for (const frame of this.app.review.markedFrames) {
      context.beginPath();
      const x = this.frameToX(frame + 0.5);
      context.moveTo(x - 4, 12);
      context.lineTo(x + 4, 12);
      context.lineTo(x, 20);
      context.fill();
    }
    context.restore();
    this.drawHandles(height);
    this.markFrame();
    this.thumbnails.show({ left: NAMES_WIDTH, width: width - NAMES_WIDTH, first, span });
  }

  /** Draw the handles of the range to track. @param {number} height */
  drawHandles(height) {
    const { context, canvas: { clientWidth: width } } = this;
    context.fillStyle = this.getColor('accent');
    this.handlePositions.forEach((position, index) => {
      if (position < NAMES_WIDTH - 1 || position > width + 1) return;
      const x = Math.min(position, width - 1);
      context.fillRect(x - 1, 0, 2, height);
      context.beginPath(); // a flag that points into the range
      context.roundRect(index ? x - 6 : x - 1, RULER_HEIGHT - 12, 7, 12, index ? [4, 0, 0, 4] : [0, 4, 4, 0]);
      context.fill();
    });
  }

  /** Move the mark of the current frame, and describe the view. */
  markFrame() {
    const { canvas, app: { playback: { frame } } } = this;
    Object.assign(element('frame-mark').style, { left: `${this.frameToX(frame)}px`, width: `${this.columnWidth}px` });
    const inView = `frames ${Math.ceil(this.first)} to ${Math.floor(this.first + this.span) - 1} in view`;
    canvas.ariaValueMax = String(this.count - 1);
    canvas.ariaValueNow = String(frame);
    const [from, to] = this.app.tracking.range;
    const limits = from > 0 || to < this.count - 1 ? `; tracking range ${from} to ${to}` : '';
    const { checked, outdated } = this.app.state;
    canvas.ariaValueText = `Frame ${frame}${checked.includes(frame) ? ', checked' : ''}; ${inView}${limits}`;
    const texts = Object.entries(outdated).map(([id, ranges]) => (
      `${this.app.getName(Number(id))} ${ranges.map(([start, end]) => `${start} to ${end}`).join(', ')}`));
    canvas.ariaDescription = texts.length ? `Outdated: ${texts.join('; ')}` : '';
  }

  /** @param {Item} object @param {number} y center of its row */
  drawName({ id, name, color }, y) {
    const { context } = this;
    context.fillStyle = color;
    context.fillRect(2, y - 4, 8, 8);
    context.fillStyle = this.getColor('text');
    context.font = `${id === this.app.selection.id ? 'bold ' : ''}11px system-ui, sans-serif`;
    let text = name;
    while (text.length > 1 && context.measureText(text).width > NAMES_WIDTH - 20) text = `${text.slice(0, -2)}…`;
    context.fillText(text, 14, y);
  }

  /** Draw frame numbers above the rows. */
  drawTicks() {
    const { context, first, span, columnWidth } = this;
    const step = TICK_STEPS.find((frames) => frames * columnWidth >= MIN_TICK_DISTANCE) || 1e6;
    context.fillStyle = this.getColor('text');
    context.font = '10px system-ui, sans-serif';
    for (let frame = Math.ceil(first / step) * step; frame < first + span; frame += step) {
      const x = this.frameToX(frame);
      context.fillText(String(frame), x + 3, 6);
      context.globalAlpha = 0.4;
      context.fillRect(x, 0, 1, RULER_HEIGHT - 2);
      context.globalAlpha = 1;
    }
  }

  /** @param {Item} object @param {number} y top of its row */
  drawRow({ id, color }, y) {
    const { context, columnWidth } = this;
    const [from, to] = [Math.floor(this.first), Math.ceil(this.first + this.span)];
    const gap = columnWidth > 4 ? 1 : 0; // if columns are wide, each frame has its own box
    const row = this.marks.get(id) || [];
    for (let start = from, end = from; start < Math.min(to, row.length); start = end) {
      const mark = row[start];
      do end += 1;
      while (!gap && end < to && row[end] === mark);
      const x = this.frameToX(start);
      const width = Math.max(1, columnWidth * (end - start) - gap);
      for (const [top, height, name] of BARS[mark] ?? [[1, 10]]) {
        context.globalAlpha = BARS[mark] ? 1 : 0.25 + 0.075 * (Number(mark) + 1);
        context.fillStyle = name ? this.getColor(name) : color;
        context.fillRect(x, y + top, width, height);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = this.getColor('outdated');
    context.lineWidth = 1.5;
    for (const [start, end] of this.app.state.outdated[id] ?? []) this.hatch(start, end + 1, y);
  }

  /** Hatch frames of a row. @param {number} start @param {number} end after the last frame @param {number} y top */
  hatch(start, end, y) {
    const { context } = this;
    const left = Math.max(NAMES_WIDTH, this.frameToX(start));
    const right = Math.min(this.canvas.clientWidth, this.frameToX(end));
    context.save();
    context.beginPath();
    context.rect(left, y, right - left, ROW_HEIGHT - 2);
    context.clip();
    context.beginPath();
    for (let x = left - ROW_HEIGHT; x < right; x += 6) {
      context.moveTo(x, y + ROW_HEIGHT);
      context.lineTo(x + ROW_HEIGHT, y);
    }
    context.stroke();
    context.restore();
  }
}
