/** Timeline under the video: names, ticks, a row per object, a column per frame. Sizes are CSS pixels. */

import { connection } from './connection.js';
import { CoalescedTask, drawOncePerRefresh, element, elements, getWheelFactor, scrollTo } from './dom.js';
import { frames } from './frames.js';
import { toolbox } from './input.js';
import { showError } from './messages.js';
import { playback } from './playback.js';
import { selection } from './selection.js';
import { state, subscribe, update } from './store.js';

/** @import { FrameToCheck, ObjectInfo, Timeline as Marks } from './protocol.js' */

const ROW_HEIGHT = 14;
const RULER_HEIGHT = 22;
const NAMES_WIDTH = 96; // width of the column of names
const MIN_DRAG = 3; // smallest movement of a drag; a smaller one is a click
const MIN_TICK_DISTANCE = 64; // smallest distance of two ticks
const MIN_SPAN = 8; // number of frames at the largest zoom
const MIN_ROWS = 4; // smallest number of rows, so that the layout does not move with each new object
const TICK_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 1e5];

/** @typedef {'text' | 'accent' | 'empty' | 'lost' | 'outdated' | 'done'} Color of the style sheet */
const [NO_MARK, DRAWN, DRAWN_ABSENT, ABSENT, LOST] = '-Ggal'; // as the server sends them
/** Name of a mark, and its bars in the row: top, height and color; by default, the object's. Other marks are digits:
 * tracked, from low to high confidence, which is a curve in the row.
 * @type {Record<string, {name: string, bars: [number, number, Color?][]}>} */
const MARKS = {
  [NO_MARK]: { name: 'without a mask', bars: [] },
  [DRAWN]: { name: 'drawn', bars: [[0, 12, 'text'], [3, 6]] },
  [DRAWN_ABSENT]: { name: 'marked as absent', bars: [[0, 12, 'text'], [3, 6, 'empty']] },
  [ABSENT]: { name: 'absent', bars: [[5.5, 1, 'text']] },
  [LOST]: { name: 'lost', bars: [[1, 2, 'lost'], [9, 2, 'lost']] }, // two lines, unlike any object
};
const TRACKED_HEIGHT = 10;
/** Name a digit, a tenth of the confidence to the power of four. @param {string} mark */
const describeTracked = (mark) => `tracked, confidence ${(((Number(mark) + 0.5) / 10) ** 0.25).toFixed(2)}`;
const MARKS_BY_URGENCY = [LOST, DRAWN, DRAWN_ABSENT, ABSENT, ...'0123456789', NO_MARK]; // the first one shows

export const isDrawn = (/** @type {string | undefined} */ mark) => mark === DRAWN || mark === DRAWN_ABSENT;

/** Return whether a frame has drawn masks. @param {number} frame */
export const hasDrawn = (frame) => [...state.marks.values()].some((row) => isDrawn(row[frame]));

/** Return the frames on which an object has a mask or is absent. */
export function findAnnotatedFrames() {
  const rows = state.project.objects.map(({ id }) => state.marks.get(id) ?? []);
  const isAnnotated = (/** @type {number} */ frame) => rows.some((row) => (row[frame] ?? NO_MARK) !== NO_MARK);
  return [...Array(state.count).keys()].filter(isAnnotated);
}

export function hasTracked() {
  const isTracked = (/** @type {string} */ mark) => mark !== NO_MARK && !isDrawn(mark);
  return state.project.objects.some(({ id }) => state.marks.get(id)?.some(isTracked));
}

/** Return whether masks of all doubtful objects are drawn. @param {FrameToCheck} entry */
export const isCorrected = ({ frame, object_ids: ids }) => ids.every((id) => isDrawn(state.marks.get(id)?.[frame]));

/** Return the frames to check that are neither corrected nor marked as checked since. */
export const findRemainingChecks = () => state.checks.filter((entry) => (
  !state.project.checked.includes(entry.frame) && !isCorrected(entry)));

class Timeline {
  constructor() {
    const canvas = this.canvas = element('strips');
    this.press = { x: 0, moved: false }; // last press; whether it moved sideways
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.first = 0; // first frame in view
    this.maxSpan = Infinity; // largest number of frames in view
    this.fetchTask = new CoalescedTask(() => (
      connection.call('timeline', {}).then(({ result }) => this.setMarks(result), showError)));
    this.style = getComputedStyle(canvas); // follows the color scheme
    this.requestDraw = drawOncePerRefresh(() => this.drawNow());
    new ResizeObserver(() => this.requestDraw()).observe(canvas);
    selection.subscribe(() => this.requestDraw());
    subscribe(['marks', 'checks', 'count'], () => this.requestDraw());
    subscribe(['shown'], () => this.showFrame());
    element('rows').onscroll = () => this.requestDraw();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.requestDraw());
    canvas.addEventListener('pointerdown', (event) => this.pressPointer(event));
    canvas.addEventListener('pointermove', (event) => this.movePointer(event));
    canvas.addEventListener('click', (event) => { if (!this.press.moved) this.selectAt(event); });
    element('zoom-in').onclick = () => this.zoomBy(2);
    element('zoom-out').onclick = () => this.zoomBy(1 / 2);
    canvas.addEventListener('wheel', (event) => this.turnWheel(event), { passive: false });
  }

  get span() {
    return Math.min(this.maxSpan, state.count);
  }

  get columnWidth() {
    return Math.max(1, this.canvas.clientWidth - NAMES_WIDTH) / this.span;
  }

  /** Return the left edge of a frame in CSS pixels. @param {number} frame */
  frameToX(frame) {
    return NAMES_WIDTH + (frame - this.first) * this.columnWidth;
  }

  /** Show the marks of all frames; events have brought newer ones of some frames. @param {Marks} timeline */
  setMarks({ revision, marks }) {
    const previous = state.marks;
    update({ marks: new Map(Object.entries(marks).map(([id, letters]) => [Number(id), [...letters]])) });
    for (const [frame, newest] of frames.revisions) {
      if (newest > revision) for (const [id, row] of previous) this.setFrameMarks(frame, { [id]: row[frame] });
    }
  }

  getColor(/** @type {Color} */ name) {
    return this.style.getPropertyValue(`--${name}`);
  }

  /** Mark the current frame, and scroll to it if it is not in view. */
  showFrame() {
    const { frame } = playback;
    if (frame < this.first || frame >= this.first + this.span) this.scrollToFrame(frame - this.span / 2);
    this.showCurrentFrame();
  }

  /** @param {number} frame @param {Record<string, string>} marks by object id */
  setFrameMarks(frame, marks) {
    for (const [id, mark] of Object.entries(marks)) {
      const row = state.marks.get(Number(id)) ?? Array(state.count).fill(NO_MARK);
      row[frame] = mark;
      state.marks.set(Number(id), row);
    }
    update({ marks: state.marks });
  }

  /** Scroll to a first frame. @param {number} first */
  scrollToFrame(first) {
    this.first = Math.max(0, Math.min(state.count - this.span, first));
    this.requestDraw();
  }

  /** Zoom in about a frame, by default the current one. @param {number} factor @param {number} [anchor] */
  zoomBy(factor, anchor = playback.frame + 0.5) {
    const share = (anchor - this.first) / this.span;
    this.maxSpan = Math.max(MIN_SPAN, this.span / factor);
    this.scrollToFrame(anchor - share * this.span);
  }

  turnWheel(/** @type {WheelEvent} */ event) {
    const deltaX = event.deltaX || (event.shiftKey ? event.deltaY : 0);
    if (!event.ctrlKey && !deltaX) return; // the browser scrolls the rows
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(getWheelFactor(event), this.eventToPosition(event));
    else this.scrollToFrame(this.first + deltaX / this.columnWidth);
  }

  /** Return the frame under the pointer, with its fraction. @param {MouseEvent} event */
  eventToPosition(event) {
    return this.first + (event.offsetX - NAMES_WIDTH) / this.columnWidth;
  }

  eventToFrame(/** @type {MouseEvent} */ event) {
    return Math.min(state.count - 1, Math.max(0, Math.floor(this.eventToPosition(event))));
  }

  /** Return the index of the row under the pointer; -1: the ruler, which covers rows. @param {MouseEvent} event */
  eventToRow({ offsetY }) {
    if (offsetY <= RULER_HEIGHT) return -1;
    return Math.floor((offsetY - RULER_HEIGHT + element('rows').scrollTop) / ROW_HEIGHT);
  }

  pressPointer(/** @type {PointerEvent} */ event) {
    if (event.button) return;
    this.press = { x: event.offsetX, moved: false };
    if (event.offsetX >= NAMES_WIDTH) this.canvas.setPointerCapture(event.pointerId);
  }

  /** Select the object of the row under the pointer, and go to the frame. @param {MouseEvent} event */
  selectAt(event) {
    const [object, frame] = [state.project.objects[this.eventToRow(event)], this.eventToFrame(event)];
    if (object) playback.addCommand(() => toolbox.select(object.id));
    if (event.offsetX >= NAMES_WIDTH) playback.addCommand(() => playback.seek(frame));
  }

  movePointer(/** @type {PointerEvent} */ event) {
    const { canvas, press } = this;
    const object = state.project.objects[this.eventToRow(event)];
    const isName = event.offsetX < NAMES_WIDTH;
    canvas.title = !object ? '' : isName ? object.name : this.describeMark(object, this.eventToFrame(event));
    press.moved ||= Math.abs(event.offsetX - press.x) >= MIN_DRAG;
    if (!press.moved || !canvas.hasPointerCapture(event.pointerId)) return;
    const frame = this.eventToFrame(event);
    playback.addCommand(() => playback.seek(frame));
  }

  /** Fit the area that scrolls to its rows; the canvas stays in view. */
  fitHeight() {
    const height = RULER_HEIGHT + Math.max(MIN_ROWS, state.project.objects.length) * ROW_HEIGHT + 2;
    for (const { style } of elements('strips', 'frame-mark')) style.height = `${height}px`;
  }

  scrollToRow(/** @type {number} */ index) {
    this.fitHeight();
    scrollTo(element('rows'), index * ROW_HEIGHT, RULER_HEIGHT + ROW_HEIGHT);
  }

  drawNow() {
    if (!state.project.id) return; // not described yet
    this.fitHeight();
    const { project: { objects } } = state;
    const { canvas: { clientWidth: width, clientHeight: height }, context } = this;
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    context.scale(devicePixelRatio, devicePixelRatio);
    context.textBaseline = 'middle';
    const tops = objects.map((_, index) => RULER_HEIGHT + index * ROW_HEIGHT - element('rows').scrollTop);
    objects.forEach((object, index) => this.drawRow(object, tops[index]));
    context.clearRect(0, 0, NAMES_WIDTH, height);
    objects.forEach((object, index) => this.drawName(object, tops[index] + ROW_HEIGHT / 2 - 1));
    context.clearRect(0, 0, width, RULER_HEIGHT);
    context.save();
    context.beginPath();
    context.rect(NAMES_WIDTH, 0, width, height);
    context.clip();
    this.drawTicks();
    this.dimMargins(height);
    this.drawReview();
    context.restore();
    this.showCurrentFrame();
  }

  /** Dim the frames that cannot be changed. @param {number} height */
  dimMargins(height) {
    const { context } = this;
    const { editable_range: [first, last] } = state.project;
    context.fillStyle = this.getColor('empty');
    context.globalAlpha = 0.75;
    if (first > 0) this.fillFrames(0, first, 0, height);
    if (last < state.count - 1) this.fillFrames(last + 1, state.count, 0, height);
    context.globalAlpha = 1;
  }

  /** Mark checked frames and frames to check on the ruler. */
  drawReview() {
    const { context } = this;
    const { project } = state;
    context.fillStyle = this.getColor('done');
    for (const frame of project.checked) this.fillFrames(frame, frame + 1, RULER_HEIGHT - 3, 3);
    context.fillStyle = this.getColor('text');
    for (const frame of findRemainingChecks().map((check) => check.frame)) {
      const x = this.frameToX(frame + 0.5);
      context.fill(new Path2D(`M ${x - 4} 12 H ${x + 4} L ${x} 20`));
    }
  }

  /** The current frame, whether it is checked, and how the selected object is on it. */
  get frameDescription() {
    const { project: { checked }, shown: { frame } } = state;
    const { item } = selection;
    const object = item ? `; ${this.describeMark(item, frame)}` : '';
    return `Frame ${frame}${checked.includes(frame) ? ', checked' : ''}${object}`;
  }

  /** Say how an object is on a frame. @param {ObjectInfo} object @param {number} frame */
  describeMark({ id, name }, frame) {
    const mark = state.marks.get(id)?.[frame] ?? NO_MARK;
    return `${name} ${MARKS[mark]?.name ?? describeTracked(mark)}`;
  }

  /** Move the mark of the current frame, and describe the view. */
  showCurrentFrame() {
    const { canvas } = this;
    const { frame } = playback;
    Object.assign(element('frame-mark').style, { left: `${this.frameToX(frame)}px`, width: `${this.columnWidth}px` });
    const inView = `frames ${Math.ceil(this.first)} to ${Math.floor(this.first + this.span) - 1} in view`;
    canvas.ariaValueMax = String(state.count - 1);
    canvas.ariaValueNow = String(frame);
    canvas.ariaValueText = `${this.frameDescription}; ${inView}`;
    const texts = Object.entries(state.project.outdated).map(([id, ranges]) => (
      `${state.project.getName(Number(id))} ${ranges.map(([start, end]) => `${start} to ${end}`).join(', ')}`));
    canvas.ariaDescription = texts.length ? `Outdated: ${texts.join('; ')}` : '';
  }

  /** @param {ObjectInfo} object @param {number} y center of its row */
  drawName({ id, name, color }, y) {
    const { context } = this;
    context.fillStyle = color;
    context.fillRect(2, y - 4, 8, 8);
    context.fillStyle = this.getColor('text');
    context.font = `${id === selection.id ? 'bold ' : ''}11px system-ui, sans-serif`;
    let text = name;
    while (text.length > 1 && context.measureText(text).width > NAMES_WIDTH - 20) text = `${text.slice(0, -2)}…`;
    context.fillText(text, 14, y);
  }

  drawTicks() {
    const { context, first, span, columnWidth } = this;
    const step = TICK_STEPS.find((distance) => distance * columnWidth >= MIN_TICK_DISTANCE) || 1e6;
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

  /** Fill an area over frames, in whole pixels and at least one, so that it is seen at any zoom.
   * @param {number} start @param {number} end frame after the last one @param {number} y @param {number} height */
  fillFrames(start, end, y, height, gap = 0) {
    const left = Math.round(this.frameToX(start));
    const right = Math.round(this.frameToX(end)) - gap;
    this.context.fillRect(left, y, Math.max(1, right - left), height);
  }

  /** @param {ObjectInfo} object @param {number} y top of its row */
  drawRow({ id, color }, y) {
    const { canvas, context, columnWidth } = this;
    if (y < RULER_HEIGHT - ROW_HEIGHT || y > canvas.clientHeight) return; // scrolled out of view
    const gap = columnWidth > 4 ? 1 : 0; // if columns are wide, each frame has its own box
    const step = Math.max(1, 1 / columnWidth); // frames for each pixel, or one
    const row = state.marks.get(id) ?? [];
    const end = Math.min(row.length, this.first + this.span);
    const findMark = (/** @type {number} */ start) => {
      const marks = row.slice(Math.floor(start), Math.ceil(start + step));
      return MARKS_BY_URGENCY.find((mark) => marks.includes(mark)) ?? NO_MARK;
    };
    for (let start = Math.floor(this.first / step) * step; start < end; start += step) {
      const mark = findMark(start);
      for (const [top, height, name] of MARKS[mark]?.bars ?? []) {
        context.fillStyle = name ? this.getColor(name) : color;
        this.fillFrames(start, start + step, y + top, height, gap);
      }
      if (mark in MARKS) continue;
      const height = Number(mark) + 1;
      context.fillStyle = color;
      this.fillFrames(start, start + step, y + 1 + TRACKED_HEIGHT - height, height, gap);
      context.globalAlpha = 0.3;
      this.fillFrames(start, start + step, y + 1, TRACKED_HEIGHT - height, gap);
      context.globalAlpha = 1;
    }
    context.fillStyle = this.getColor('outdated');
    for (const [from, to] of state.project.outdated[id] ?? []) this.fillFrames(from, to + 1, y + ROW_HEIGHT - 2, 2);
  }
}

export const timeline = new Timeline();
