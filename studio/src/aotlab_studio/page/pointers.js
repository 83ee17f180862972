/** Mouse, pen, touch and the keyboard's cursor on the frame; preview of the mask that a click would make.

 One pointer draws; two fingers or the middle button pan. */

import { CoalescedTask, getWheelFactor } from './dom.js';
import { showMessage } from './messages.js';
import { toPairs } from './viewer.js';

const PEN_ERASER = 5; // button

/** @param {import('./viewer.js').Viewer} viewer @param {import('./tools.js').Toolbox} toolbox */
export function bindPointers(viewer, toolbox) {
  const { canvas } = viewer;
  const preview = new ClickPreview(toolbox);
  const touches = /** @type {Map<number, {x: number, y: number}>} */ (new Map());
  let activeId = /** @type {number | null} */ (null); // id of the pointer that draws or pans
  /** Last center of what pans, and distance of two fingers. @type {{x: number, y: number, spread: number} | null} */
  let panStart = null;
  /** Press that waits: a finger's until it is lifted without a second one. @type {(() => void) | null} */
  let pendingPress = null;
  let isDoubleClick = false; // whether the last press is the second of a double click
  let clickedId = 0; // visible object under the first one

  /** Return the center of the fingers, or the position of another pointer. @param {PointerEvent} event */
  const measurePan = ({ clientX, clientY }) => {
    const [a, b = a] = touches.size ? [...touches.values()] : [{ x: clientX, y: clientY }];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (![0, 1, 2, PEN_ERASER].includes(event.button)) return;
    isDoubleClick = false;
    canvas.classList.add('pointed');
    canvas.focus({ preventScroll: true });
    const isTouch = event.pointerType === 'touch';
    if (isTouch && activeId !== null && !touches.size) return; // a palm beside the pen
    if (!isTouch) touches.clear();
    canvas.setPointerCapture(event.pointerId);
    activeId = event.pointerId;
    pendingPress = null;
    if (isTouch) touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const isPan = touches.size >= 2 || event.button === 1 || toolbox.tool.name === 'pan';
    panStart = isPan ? measurePan(event) : null;
    if (isPan) {
      if (toolbox.isDown) toolbox.cancel();
      event.preventDefault();
      return;
    }
    viewer.cursor = null;
    preview.clear();
    const point = viewer.clientToFrame(event);
    const subtract = event.shiftKey || event.button === 2 || event.button === PEN_ERASER;
    if (toolbox.tool.release) toolbox.press(point, subtract);
    else pendingPress = () => { if (!isDoubleClick) toolbox.press(point, subtract); };
  });

  canvas.addEventListener('pointermove', (event) => {
    if (touches.has(event.pointerId)) touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const isActive = event.pointerId === activeId;
    if (panStart && (isActive || touches.has(event.pointerId))) {
      const now = measurePan(event);
      viewer.pan(now.x - panStart.x, now.y - panStart.y);
      const center = viewer.clientToView({ clientX: now.x, clientY: now.y });
      if (now.spread && panStart.spread) viewer.zoomBy(now.spread / panStart.spread, center);
      panStart = now;
      return;
    }
    if (activeId !== null && !isActive) return;
    if (isActive) for (const move of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      toolbox.move(viewer.clientToFrame(move));
    }
    if (event.pointerType !== 'touch') {
      const point = viewer.clientToFrame(event);
      viewer.pointer = viewer.clientToView(event);
      preview.moveTo(point);
      viewer.cursor = viewer.cursorRadius ? point : null;
      viewer.draw();
    }
  });

  canvas.addEventListener('blur', () => canvas.classList.remove('pointed'));

  const endPress = (/** @type {PointerEvent} */ event) => {
    if (!touches.delete(event.pointerId) && event.pointerId !== activeId) return;
    if (panStart && touches.size) {
      panStart = measurePan(event);
      return;
    }
    activeId = null;
    if (panStart) panStart = null;
    else if (event.type === 'pointercancel') toolbox.cancel();
    else if (pendingPress) pendingPress();
    else toolbox.release(isDoubleClick);
    pendingPress = null;
  };
  canvas.addEventListener('pointerup', endPress);
  canvas.addEventListener('pointercancel', endPress);
  canvas.addEventListener('lostpointercapture', endPress);
  canvas.addEventListener('pointerleave', () => {
    if (!toolbox.isDown) viewer.cursor = null;
    preview.clear();
    viewer.pointer = null;
    viewer.draw();
  });
  // between pointerdown and pointerup; after both for a finger
  canvas.addEventListener('mousedown', (event) => {
    isDoubleClick = event.detail > 1;
    if (!isDoubleClick) clickedId = viewer.findVisibleId(viewer.clientToFrame(event));
    pendingPress?.();
    pendingPress = null;
  });
  canvas.addEventListener('dblclick', () => {
    if (toolbox.tool.makesPrompts) toolbox.app.selection.isolate(clickedId);
    else toolbox.close();
  });
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (toolbox.tool.usesBrush && !event.ctrlKey) toolbox.resizeBrush(getWheelFactor(event));
    else viewer.zoomBy(getWheelFactor(event), viewer.clientToView(event));
  }, { passive: false });
}

const CURSOR_STEP = 8;
/** @type {Record<string, [number, number]>} */
const CURSOR_KEYS = { W: [0, -1], A: [-1, 0], S: [0, 1], D: [1, 0] };

/** Move the keyboard's cursor. @param {import('./main.js').App} app @param {string} name W, A, S, D, or with Shift */
export function moveCursor(app, name) {
  const { viewer, viewer: { size: { width, height } }, toolbox } = app;
  const { x, y } = viewer.cursor ?? { x: width / 2, y: height / 2 };
  const step = name.startsWith('Shift+') ? 1 : CURSOR_STEP;
  const [dx, dy] = CURSOR_KEYS[name[name.length - 1]] || [0, 0];
  const point = { x: Math.min(width, Math.max(0, x + dx * step)), y: Math.min(height, Math.max(0, y + dy * step)) };
  viewer.cursor = point;
  viewer.pointer = viewer.frameToView(point);
  viewer.canvas.classList.remove('pointed');
  toolbox.move(point);
  viewer.draw();
  const id = viewer.findVisibleId(point);
  const position = `${Math.round(point.x)}, ${Math.round(point.y)}${id ? `, on ${app.getName(id)}` : ''}`;
  showMessage(`${toolbox.isDown ? 'Drawing' : 'Cursor'} at ${position}`);
}

/** Press the selected tool at the cursor, or release it. @param {import('./main.js').App} app @param {boolean} shift */
export function pressCursor(app, shift) {
  const { cursor } = app.viewer;
  if (!cursor && app.toolbox.tool.takesCorners && app.toolbox.points.length) app.toolbox.close();
  else if (!cursor) moveCursor(app, '');
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
    const { tool, isDown, subtractByDefault, app, viewer } = this.toolbox;
    if (tool.name !== 'click' || isDown || subtractByDefault || app.tracking.job || !app.playback.isReady) return false;
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
    const { target, toolbox: { app, app: { playback: { frame } }, viewer, viewer: { labels } } } = this;
    if (!target) return;
    viewer.canvas.classList.add('waiting'); // the first preview of a frame encodes it
    const message = { frame, positive: toPairs([target]) };
    const answer = await app.connection.call('preview', message).catch(() => null);
    const isCurrent = this.canPreview && app.playback.frame === frame && viewer.labels === labels;
    viewer.preview = (isCurrent && answer?.result) || []; // outside the image, or a click will say what failed
    viewer.canvas.classList.remove('waiting');
    viewer.draw();
  }
}
