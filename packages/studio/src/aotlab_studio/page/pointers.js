/** Mouse, pen, touch and the keyboard's cursor on the frame.

 One pointer draws; two fingers or the middle button pan. */

import { focusView, getWheelFactor } from './dom.js';
import { toolbox } from './input.js';
import { showHint, showMessage } from './messages.js';
import { playback } from './playback.js';
import { state } from './store.js';
import { getDistance, viewer } from './viewer.js';

/** @import { Point } from './viewer.js' */

const PEN_ERASER = 5; // button
const CLICK_DISTANCE = 4; // largest movement in CSS pixels of a double click's second press
const TAP = { time: 300, distance: 24 }; // largest milliseconds and CSS pixels between two taps; a tap moves less

/** Pressed pointers by id, and what they do; `wait`: a tap presses the tool when it ends, a slide pans.
 * @typedef {{kind: 'draw' | 'pan' | 'wait', press: () => void, isTouch: boolean, time: number, isDoubleClick: boolean,
 *   pointers: Map<number, Point>, center: ReturnType<typeof measureCenter>}} Gesture */

/** Return the center of the pointers, and the distance of two. @param {Map<number, Point>} pointers */
function measureCenter(pointers) {
  const [a, b = a] = pointers.values();
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: getDistance(a, b) };
}

class Gestures {
  constructor() {
    const { canvas } = viewer;
    this.gesture = /** @type {Gesture | null} */ (null); // the last one; it has ended if no pointer is pressed
    this.isPenNear = false; // pressed or hovering
    canvas.addEventListener('pointerdown', (event) => this.start(event));
    canvas.addEventListener('mousedown', (event) => this.startClick(event));
    canvas.addEventListener('pointermove', (event) => this.move(event));
    for (const kind of /** @type {const} */ (['pointerup', 'pointercancel', 'lostpointercapture'])) {
      canvas.addEventListener(kind, (event) => this.end(event));
    }
    canvas.addEventListener('pointerleave', () => {
      if (!toolbox.isDown) viewer.cursor = null;
      viewer.pointer = null;
      viewer.requestDraw();
    });
    document.documentElement.onpointerenter = ({ pointerType }) => { this.isPenNear ||= pointerType === 'pen'; };
    document.documentElement.onpointerleave = ({ pointerType }) => { this.isPenNear &&= pointerType !== 'pen'; };
    canvas.addEventListener('blur', () => canvas.classList.remove('pointed'));
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    canvas.addEventListener('dblclick', () => {
      if (playback.isWaiting) return; // its clicks wait too
      if (state.tool.isPolygon && toolbox.isClosable) toolbox.finish();
    });
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      const { ctrlKey, deltaX, deltaY, shiftKey } = event;
      if (!ctrlKey && deltaX) viewer.pan(-deltaX, -deltaY);
      else if (!ctrlKey && shiftKey) viewer.pan(-deltaY, 0); // as browsers scroll
      else if (state.tool.usesBrush && !ctrlKey) {
        const factor = getWheelFactor(event);
        playback.addCommand(() => toolbox.resizeBrush(factor));
      } else viewer.zoomBy(getWheelFactor(event), viewer.clientToView(event));
    }, { passive: false });
  }

  start(/** @type {PointerEvent} */ event) {
    const { gesture: last } = this;
    const { tool } = state;
    if (![0, 1, 2, PEN_ERASER].includes(event.button)) return;
    viewer.canvas.classList.add('pointed');
    focusView();
    showHint(''); // in a narrow window it covers the frame
    const isTouch = event.pointerType === 'touch';
    const isJoined = last !== null && last.pointers.size > 0;
    if (isTouch && (this.isPenNear || (isJoined && !last.isTouch))) return; // a palm
    if (toolbox.isDown && isJoined) toolbox.discard(); // a palm before the pen, or the first of two fingers
    else if (toolbox.isDown) toolbox.release(); // a stroke of the keyboard
    const pointers = new Map(isTouch ? last?.pointers : []);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [center, time] = [measureCenter(pointers), event.timeStamp];
    const isSecond = isTouch && last !== null && last.isTouch && last.kind !== 'pan' && time - last.time < TAP.time;
    viewer.canvas.setPointerCapture(event.pointerId);
    const isPan = pointers.size >= 2 || event.button === 1 || tool.name === 'pan';
    const point = viewer.clientToFrame(event);
    const press = () => toolbox.press(point, event.shiftKey || event.button === 2, event.button === PEN_ERASER);
    const kind = isPan ? 'pan' : tool.release ? 'draw' : 'wait';
    this.gesture = {
      kind: /** @type {Gesture['kind']} */ (kind), press, isTouch, time, pointers, center,
      isDoubleClick: isSecond && getDistance(center, last.center) < TAP.distance, // the mouse's events come later
    };
    viewer.cursor = null;
    if (isPan) event.preventDefault(); // no `mousedown`, which would take the focus
    else if (tool.release) press();
  }

  /** Handle `mousedown`, which knows double clicks. It comes before `pointerup`, but after it for a finger. */
  startClick(/** @type {MouseEvent} */ event) {
    const { gesture } = this;
    if (!gesture) return;
    gesture.isDoubleClick = event.detail > 1;
    if (gesture.kind !== 'wait' || !gesture.pointers.size) return;
    if (!gesture.isDoubleClick) gesture.press();
    gesture.kind = 'draw';
  }

  move(/** @type {PointerEvent} */ event) {
    const { gesture } = this;
    const isActive = gesture !== null && gesture.pointers.has(event.pointerId);
    if (gesture?.pointers.size && !isActive) return;
    if (isActive) {
      const { center: last, kind } = gesture;
      gesture.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const center = measureCenter(gesture.pointers);
      if (kind === 'wait' && getDistance(center, last) >= TAP.distance) gesture.kind = 'pan'; // the finger slides
      if (gesture.kind === 'pan') {
        gesture.center = center;
        viewer.pan(center.x - last.x, center.y - last.y);
        const position = viewer.clientToView({ clientX: center.x, clientY: center.y });
        if (center.distance && last.distance) viewer.zoomBy(center.distance / last.distance, position);
        return;
      }
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const move of moves.length ? moves : [event]) toolbox.move(viewer.clientToFrame(move), event.ctrlKey);
    }
    if (event.pointerType !== 'touch' && (isActive || !toolbox.isDown)) { // not a stroke of the keyboard
      const point = viewer.clientToFrame(event);
      viewer.pointer = viewer.clientToView(event);
      viewer.cursor = viewer.cursorRadius ? point : null;
      viewer.requestDraw();
    }
  }

  end(/** @type {PointerEvent} */ event) {
    const { gesture } = this;
    if (!gesture?.pointers.delete(event.pointerId)) return;
    if (gesture.pointers.size) { // of two fingers
      gesture.center = measureCenter(gesture.pointers);
      return;
    }
    if (gesture.kind === 'wait' && event.type !== 'pointercancel' && !gesture.isDoubleClick) gesture.press();
    else if (gesture.kind !== 'draw') return;
    toolbox.draggedCorner = -1;
    if (!toolbox.isDown) return;
    const hasMoved = getDistance({ x: event.clientX, y: event.clientY }, gesture.center) > CLICK_DISTANCE;
    const isRepeated = gesture.isDoubleClick && state.tool.makesPrompts && !hasMoved;
    if (event.type === 'pointercancel' || isRepeated) toolbox.discard();
    else {
      if (event.ctrlKey && !hasMoved) toolbox.joinLastStroke();
      toolbox.release();
    }
  }
}

const CURSOR_STEP = 8;
/** @type {Record<string, [number, number]>} */
const CURSOR_KEYS = { W: [0, -1], A: [-1, 0], S: [0, 1], D: [1, 0] };

/** Move the keyboard's cursor. @param {string} name W, A, S, D, or with Shift */
export function moveCursor(name) {
  const { size: { width, height } } = viewer;
  if (gestures.gesture?.pointers.size) return; // a pointer has the cursor
  const { x, y } = viewer.cursor ?? { x: width / 2, y: height / 2 };
  const step = name.startsWith('Shift+') ? 1 : CURSOR_STEP;
  const [dx, dy] = CURSOR_KEYS[name[name.length - 1]] || [0, 0];
  const point = { x: Math.min(width, Math.max(0, x + dx * step)), y: Math.min(height, Math.max(0, y + dy * step)) };
  viewer.cursor = point;
  viewer.scrollTo(point);
  viewer.pointer = viewer.frameToView(point);
  viewer.canvas.classList.remove('pointed');
  toolbox.move(point);
  const id = viewer.findVisibleId(point);
  const position = `${Math.round(point.x)}, ${Math.round(point.y)}${id ? `, on ${state.project.getName(id)}` : ''}`;
  showMessage(`${toolbox.isDown ? 'Drawing' : 'Cursor'} at ${position}`);
}

/** Press the selected tool at the cursor, or release it. @param {boolean} shift */
export function pressCursor(shift) {
  const { cursor, canvas } = viewer;
  const isPointed = canvas.classList.contains('pointed'); // the cursor is the brush under the mouse
  if (toolbox.isDrawn || (toolbox.isClosable && (!cursor || isPointed))) toolbox.finish();
  else if (!cursor) moveCursor('');
  else toolbox.begin(cursor, shift);
}

const gestures = new Gestures();
