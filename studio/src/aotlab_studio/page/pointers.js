// @ts-check
/** Mouse, pen and touch on the frame: one pointer draws, two fingers or the middle button pan; a preview of a click's mask. */

import { toPairs } from './connection.js';
import { element, wheelFactor } from './dom.js';
import { idAt } from './frames.js';

const PEN_ERASER = 5;

/** @param {import('./viewer.js').Viewer} viewer @param {import('./tools.js').Toolbox} toolbox */
export function watchPointers(viewer, toolbox) {
  const { canvas } = viewer;
  const hover = new Hover(toolbox);
  /** @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  /** Id of the pointer that draws or pans. @type {number | null} */
  let active = null;
  /** Last place of what pans, and the distance of its fingers. @type {{x: number, y: number, spread: number} | null} */
  let panning = null;
  /** Press of a finger, done when it is lifted, unless a second finger joins. @type {(() => void) | null} */
  let pendingPress = null;

  const middle = () => {
    const [a, b = a] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  };

  canvas.addEventListener('pointerdown', (event) => {
    toolbox.isSecondClick = false;
    canvas.focus({ preventScroll: true });
    const touch = event.pointerType === 'touch';
    if (touch && active !== null && !fingers.size) return; // a palm beside the pen
    if (!touch) fingers.clear();
    canvas.setPointerCapture(event.pointerId);
    active = event.pointerId;
    pendingPress = null;
    if (touch) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size >= 2) {
      if (toolbox.isDown) toolbox.cancel();
      panning = middle();
      return;
    }
    panning = null;
    if (event.button === 1 || toolbox.tool.name === 'pan') {
      panning = { x: event.clientX, y: event.clientY, spread: 0 };
      event.preventDefault();
      return;
    }
    viewer.cursor = null;
    hover.clear();
    placeRing(event); // a finger does not move before it presses
    const point = viewer.toImagePoint(event);
    const remove = event.shiftKey || event.button === 2 || event.button === PEN_ERASER;
    if (touch && toolbox.tool.takesPoints) pendingPress = () => toolbox.press(point, remove);
    else toolbox.press(point, remove);
  });

  canvas.addEventListener('pointermove', (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const holds = event.pointerId === active;
    if (panning && (holds || fingers.has(event.pointerId))) {
      const now = fingers.size ? middle() : { x: event.clientX, y: event.clientY, spread: 0 };
      viewer.pan(now.x - panning.x, now.y - panning.y);
      if (now.spread && panning.spread) viewer.zoomBy(now.spread / panning.spread, viewer.toPlace({ clientX: now.x, clientY: now.y }));
      panning = now;
      return;
    }
    if (active !== null && !holds) return;
    placeRing(event);
    if (holds) for (const move of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      toolbox.move(viewer.toImagePoint(move));
    }
    if (event.pointerType !== 'touch') {
      const [point, radius] = [viewer.toImagePoint(event), toolbox.cursorRadius()];
      viewer.pointer = viewer.toPlace(event);
      hover.move(point);
      viewer.cursor = radius ? { point, radius } : null;
      viewer.draw();
    }
  });

  const end = (/** @type {PointerEvent} */ event) => {
    if (!fingers.delete(event.pointerId) && event.pointerId !== active) return;
    if (panning && fingers.size) {
      panning = middle();
      return;
    }
    active = null;
    if (panning) panning = null;
    else if (event.type === 'pointercancel') toolbox.cancel();
    else if (pendingPress) pendingPress();
    else toolbox.release();
    pendingPress = null;
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  canvas.addEventListener('lostpointercapture', end);
  canvas.addEventListener('pointerleave', () => {
    if (!toolbox.isDown) viewer.cursor = null;
    hover.clear();
    viewer.pointer = null;
    viewer.draw();
  });
  // between pointerdown and pointerup
  canvas.addEventListener('mousedown', (event) => { toolbox.isSecondClick = event.detail > 1; });
  canvas.addEventListener('dblclick', (event) => {
    if (toolbox.tool.prompts) toolbox.app.isolate(idAt(viewer.labels, viewer.toImagePoint(event)));
    else if (toolbox.points.length > 2) toolbox.close();
    else toolbox.dropPoints(); // the second press on the first corner
  });
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (toolbox.cursorRadius() && !event.ctrlKey) toolbox.resize(wheelFactor(event));
    else viewer.zoomBy(wheelFactor(event), viewer.toPlace(event));
  }, { passive: false });
}

/** Move the ring that shows a wait. @param {PointerEvent} event */
function placeRing({ offsetX, offsetY }) {
  element('ring').style.translate = `${offsetX}px ${offsetY}px`;
}

/** @typedef {import('./viewer.js').Point} Point */

class Hover {
  /** @param {import('./tools.js').Toolbox} toolbox */
  constructor(toolbox) {
    this.toolbox = toolbox;
    /** @type {Point | null} */
    this.target = null;
    this.isRequesting = false;
    /** Frame of the last request. */
    this.frame = -1;
  }

  /** Whether a click would make a mask; only then is there a preview. */
  get canPreview() {
    const { tool, isDown, removeByDefault, app, viewer } = this.toolbox;
    if (tool.name !== 'click' || isDown || removeByDefault || app.tracking.job || !app.playback.isReady) return false;
    return !app.selectedId || !viewer.labels?.ids.includes(app.selectedId); // last, because it may read every pixel
  }

  /** @param {Point} point */
  move(point) {
    const { width, height } = this.toolbox.viewer.size;
    const inside = point.x >= 0 && point.y >= 0 && point.x < width && point.y < height;
    if (!inside || !this.canPreview) {
      this.clear();
      return;
    }
    this.target = point;
    if (!this.isRequesting) this.request();
  }

  clear() {
    this.target = null;
    this.toolbox.viewer.preview = [];
  }

  /** One request at a time, each for the newest place. */
  async request() {
    const { app, viewer } = this.toolbox;
    this.isRequesting = true;
    while (this.target) {
      const [point, { frame }, { labels }] = [this.target, app.playback, viewer];
      this.target = null;
      element('ring').classList.toggle('waiting', frame !== this.frame); // the first preview of a frame encodes it
      this.frame = frame;
      try {
        const { result } = await app.connection.call('preview', { frame, positive: toPairs([point]) });
        viewer.preview = this.canPreview && app.playback.frame === frame && viewer.labels === labels ? result : [];
      } catch {
        viewer.preview = []; // a click will say what is wrong
      }
      element('ring').classList.remove('waiting');
      viewer.draw();
    }
    this.isRequesting = false;
  }
}
