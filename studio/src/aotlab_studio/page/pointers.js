/** Mouse, pen, touch and the keyboard's cursor on the frame; preview of the mask that a click would make.

 One pointer draws; two fingers or the middle button pan. */

import { CoalescedTask, focusView, getWheelFactor } from './dom.js';
import { showHint, showMessage } from './messages.js';
import { toPairs } from './viewer.js';

const PEN_ERASER = 5; // button
const TAP = { time: 300, distance: 24 }; // largest milliseconds and CSS pixels between two taps; a tap moves less

/** What the pressed pointer does; `wait`: it presses the tool later if no finger slides or joins it.
 * @typedef {{kind: 'draw' | 'pan' | 'wait', press: () => void, place: ReturnType<Gestures['measurePlace']>}} Gesture */

export class Gestures {
  constructor(/** @type {import('./tools.js').Toolbox} */ toolbox) {
    const { viewer, viewer: { canvas } } = toolbox;
    this.toolbox = toolbox;
    this.preview = new ClickPreview(toolbox);
    this.touches = /** @type {Map<number, {x: number, y: number}>} */ (new Map());
    /** @type {Gesture | null} */
    this.gesture = null;
    this.pointerId = 0; // of the gesture
    this.lastTouch = { time: -Infinity, x: 0, y: 0 }; // when and where the last finger was put on the frame
    this.isDoubleClick = false; // whether the last press is the second of a double click or tap
    this.clickedId = 0; // visible object under the first of two clicks
    canvas.addEventListener('pointerdown', (event) => this.start(event));
    canvas.addEventListener('mousedown', (event) => this.startClick(event));
    canvas.addEventListener('pointermove', (event) => this.move(event));
    for (const kind of /** @type {const} */ (['pointerup', 'pointercancel', 'lostpointercapture'])) {
      canvas.addEventListener(kind, (event) => this.end(event));
    }
    canvas.addEventListener('pointerleave', () => {
      if (!toolbox.isDown) viewer.cursor = null;
      this.preview.clear();
      viewer.pointer = null;
      viewer.requestDraw();
    });
    canvas.addEventListener('blur', () => canvas.classList.remove('pointed'));
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    canvas.addEventListener('dblclick', () => {
      if (toolbox.tool.makesPrompts) toolbox.app.selection.isolate(this.clickedId);
      else if (toolbox.tool.isPolygon) toolbox.close();
    });
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      if (toolbox.tool.usesBrush && !event.ctrlKey) toolbox.resizeBrush(getWheelFactor(event));
      else viewer.zoomBy(getWheelFactor(event), viewer.clientToView(event));
    }, { passive: false });
  }

  /** Return the center of the fingers and the distance of two, or the position of another pointer. */
  measurePlace(/** @type {PointerEvent} */ { clientX, clientY }) {
    const [a, b = a] = this.touches.size ? [...this.touches.values()] : [{ x: clientX, y: clientY }];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  start(/** @type {PointerEvent} */ event) {
    const { lastTouch, toolbox, touches } = this;
    const { tool, viewer } = toolbox;
    if (![0, 1, 2, PEN_ERASER].includes(event.button)) return;
    viewer.canvas.classList.add('pointed');
    focusView();
    showHint(''); // in a narrow window it covers the frame
    const isTouch = event.pointerType === 'touch';
    if (isTouch && this.gesture && !touches.size) return; // a palm beside the pen
    if (!this.gesture) toolbox.release(); // a stroke of the keyboard
    else if (toolbox.isDown) toolbox.discard(); // as of a palm before the pen, or of the first of two fingers
    const { timeStamp: time, clientX: x, clientY: y } = event;
    const isNear = Math.hypot(x - lastTouch.x, y - lastTouch.y) < TAP.distance;
    this.isDoubleClick = isTouch && isNear && time - lastTouch.time < TAP.time; // the mouse's events come later
    if (isTouch) touches.set(event.pointerId, { x, y });
    else touches.clear();
    if (isTouch) this.lastTouch = { time, x, y };
    viewer.canvas.setPointerCapture(event.pointerId);
    this.pointerId = event.pointerId;
    const isPan = touches.size >= 2 || event.button === 1 || tool.name === 'pan';
    const point = viewer.clientToFrame(event);
    const press = () => toolbox.press(point, event.shiftKey || event.button === 2 || event.button === PEN_ERASER);
    const place = this.measurePlace(event);
    this.gesture = { kind: isPan ? 'pan' : tool.release ? 'draw' : 'wait', press, place };
    if (isPan) {
      event.preventDefault();
      return;
    }
    viewer.cursor = null;
    this.preview.clear();
    if (tool.release) press();
  }

  /** Handle the mouse's event of a press: of mouse and pen before their `pointerup`, of a finger after it. */
  startClick(/** @type {MouseEvent} */ event) {
    const { gesture, toolbox: { viewer } } = this;
    this.isDoubleClick = event.detail > 1;
    if (!this.isDoubleClick) this.clickedId = viewer.findVisibleId(viewer.clientToFrame(event));
    if (gesture?.kind !== 'wait') return;
    if (!this.isDoubleClick) gesture.press();
    gesture.kind = 'draw';
  }

  move(/** @type {PointerEvent} */ event) {
    const { gesture, toolbox, toolbox: { viewer }, touches } = this;
    if (touches.has(event.pointerId)) touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const isActive = gesture !== null && event.pointerId === this.pointerId;
    const now = this.measurePlace(event);
    const distance = gesture ? Math.hypot(now.x - gesture.place.x, now.y - gesture.place.y) : 0;
    if (gesture?.kind === 'wait' && distance >= TAP.distance) gesture.kind = 'pan'; // the finger slides
    if (gesture?.kind === 'pan' && (isActive || touches.has(event.pointerId))) {
      const { place } = gesture;
      gesture.place = now;
      viewer.pan(now.x - place.x, now.y - place.y);
      const center = viewer.clientToView({ clientX: now.x, clientY: now.y });
      if (now.spread && place.spread) viewer.zoomBy(now.spread / place.spread, center);
      return;
    }
    if (gesture && !isActive) return;
    if (isActive) for (const move of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      toolbox.move(viewer.clientToFrame(move));
    }
    if (event.pointerType !== 'touch' && (isActive || !toolbox.isDown)) { // not a stroke of the keyboard
      const point = viewer.clientToFrame(event);
      viewer.pointer = viewer.clientToView(event);
      this.preview.moveTo(point);
      viewer.cursor = viewer.cursorRadius ? point : null;
      viewer.requestDraw();
    }
  }

  end(/** @type {PointerEvent} */ event) {
    const { gesture, toolbox, touches } = this;
    const isActive = gesture !== null && event.pointerId === this.pointerId;
    if (!touches.delete(event.pointerId) && !isActive) return;
    if (gesture?.kind === 'pan' && touches.size) {
      gesture.place = this.measurePlace(event);
      return;
    }
    this.gesture = null;
    if (gesture?.kind === 'pan') return;
    if (event.type === 'pointercancel') {
      if (toolbox.isDown) toolbox.discard();
    } else if (gesture?.kind !== 'wait') toolbox.release(this.isDoubleClick);
    else if (!this.isDoubleClick) gesture.press();
  }
}

const CURSOR_STEP = 8;
/** @type {Record<string, [number, number]>} */
const CURSOR_KEYS = { W: [0, -1], A: [-1, 0], S: [0, 1], D: [1, 0] };

/** Move the keyboard's cursor. @param {import('./main.js').App} app @param {string} name W, A, S, D, or with Shift */
export function moveCursor(app, name) {
  const { viewer, toolbox } = app;
  const { width, height } = viewer.size;
  const { x, y } = viewer.cursor ?? { x: width / 2, y: height / 2 };
  const step = name.startsWith('Shift+') ? 1 : CURSOR_STEP;
  const [dx, dy] = CURSOR_KEYS[name[name.length - 1]] || [0, 0];
  const point = { x: Math.min(width, Math.max(0, x + dx * step)), y: Math.min(height, Math.max(0, y + dy * step)) };
  viewer.cursor = point;
  viewer.pointer = viewer.frameToView(point);
  viewer.canvas.classList.remove('pointed');
  toolbox.move(point);
  viewer.requestDraw();
  const id = viewer.findVisibleId(point);
  const position = `${Math.round(point.x)}, ${Math.round(point.y)}${id ? `, on ${app.project.getName(id)}` : ''}`;
  showMessage(`${toolbox.isDown ? 'Drawing' : 'Cursor'} at ${position}`);
}

/** Press the selected tool at the cursor, or release it. @param {import('./main.js').App} app @param {boolean} shift */
export function pressCursor(app, shift) {
  const { cursor } = app.viewer;
  if (!cursor && app.toolbox.close()) return;
  if (!cursor) moveCursor(app, '');
  else if (app.toolbox.isDown) app.toolbox.release();
  else app.toolbox.press(cursor, shift);
}

class ClickPreview {
  constructor(/** @type {import('./tools.js').Toolbox} */ toolbox) {
    this.toolbox = toolbox;
    this.target = /** @type {import('./viewer.js').Point | null} */ (null);
    this.fetchTask = new CoalescedTask(() => this.fetchOutlines());
  }

  /** Whether a click would make a mask; only then is there a preview. */
  get canPreview() {
    const { tool, isDown, erasesByDefault, app, viewer } = this.toolbox;
    if (tool.name !== 'click' || isDown || erasesByDefault || app.tracking.job || !app.playback.isReady) return false;
    return !app.selection.id || !viewer.labels?.ids.includes(app.selection.id); // checked last: scans the mask
  }

  moveTo(/** @type {import('./viewer.js').Point} */ point) {
    if (this.canPreview) this.target = point;
    else this.clear();
    if (this.target) this.fetchTask.run();
  }

  clear() {
    this.target = null;
    this.toolbox.viewer.preview = [];
  }

  async fetchOutlines() {
    const { target, toolbox: { app, viewer } } = this;
    const [{ frame }, { labels }] = [app.playback, viewer];
    if (!target) return;
    viewer.canvas.classList.add('waiting'); // the first preview of a frame encodes it
    const message = { frame, positive: toPairs([target]) };
    const answer = await app.connection.call('preview', message).catch(() => null);
    const isCurrent = this.canPreview && app.playback.frame === frame && viewer.labels === labels;
    viewer.preview = (isCurrent && answer?.result) || []; // outside the image, or a click will say what failed
    viewer.canvas.classList.remove('waiting');
    viewer.requestDraw();
  }
}
