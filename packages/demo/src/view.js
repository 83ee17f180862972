/** The shown frame, controls and messages of the page. */

import { COLORS, drawOverlay } from './labels.js';
import { CANCELED, state } from './state.js';

/** @template {HTMLElement} T @param {string} id @returns {T} */
export const element = (id) => /** @type {T} */ (document.getElementById(id));
export const view = /** @type {HTMLCanvasElement} */ (element('view'));
/** Lies over the view, so that a drag does not draw the frame again. */
const marks = /** @type {HTMLCanvasElement} */ (element('marks'));
const [context, marksContext] = [view, marks].map((canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')));
export const slider = /** @type {HTMLInputElement} */ (element('frame'));
export const size = /** @type {HTMLSelectElement} */ (element('size'));
export const compute = /** @type {HTMLSelectElement} */ (element('compute'));
export const negativeClicks = /** @type {HTMLInputElement} */ (element('negative'));
export const progress = /** @type {HTMLProgressElement} */ (element('progress'));

/** @param {string} text @param {boolean} [failed] */
export function showStatus(text, failed = false) {
  element('status').textContent = text;
  element('status').classList.toggle('error', failed);
}

/** @param {import('./worker.js').Progress} loaded */
export function showProgress({ stage, done, total }) {
  progress.value = total ? Math.min(1, done / total) : 0;
  const megabytes = (/** @type {number} */ bytes) => Math.round(bytes / 1e6);
  const ofTotal = total ? ` of ${megabytes(total)}` : ''; // some servers send no Content-Length
  element('speed').textContent = stage === 'download' ? `Loading the model: ${megabytes(done)}${ofTotal} MB` : 'Preparing the model…';
}

/** Change the state and show it. @param {Partial<typeof state>} changes */
export function update(changes) {
  Object.assign(state, changes);
  showObjects();
  drawFrame();
  drawMarks();
  updateControls();
}

function updateControls() {
  const { model, video, store, position, objectCount, activity, history } = state;
  const [idle, marked] = [activity === null, store.frames.size > 0];
  const playing = activity?.name === 'play';
  const hasObjects = COLORS.some((_, index) => store.hasObject(position, index + 1));
  /** @type {[string, boolean][]} */
  const enabled = [
    ['play', video !== null && (idle || playing)],
    ['frame', video !== null && (idle || playing)],
    ['add', idle && marked && objectCount < COLORS.length],
    ['clear', idle && marked],
    ['undo', idle && history.length > 0],
    ['track', idle && Boolean(model?.backend) && hasObjects],
    ['cancel', activity !== null && activity.name in CANCELED],
    ['masks', idle && marked],
    ['overlay', idle && marked],
    ['matte', idle && marked],
    ['size', idle],
    ['compute', idle],
    ['file', idle],
  ];
  for (const [id, value] of enabled) /** @type {HTMLButtonElement} */ (element(id)).disabled = !value;
  element('play').textContent = playing ? '⏸' : '▶';
  element('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
  element('reload').hidden = state.loading || !model || Boolean(model.backend);
  progress.hidden = !state.loading && activity?.name !== 'track';
  slider.max = String(video ? video.timestamps.length - 1 : 0);
  slider.value = String(position);
  element('position').textContent = video ? `${position + 1} / ${video.timestamps.length}` : '0 / 0';
}

function showObjects() {
  const group = element('objects');
  while (group.childElementCount < state.objectCount) group.append(createObjectButton(group.childElementCount + 1));
  while (group.childElementCount > state.objectCount) group.lastElementChild?.remove();
  const { objectCount, objectId, position, store } = state;
  [...group.children].forEach((button, index) => button.setAttribute('aria-pressed', String(index + 1 === objectId)));
  const ids = Array.from({ length: objectCount }, (_, index) => index + 1).filter((id) => !store.hasObject(position, id));
  element('absent').textContent = store.frames.size && ids.length ? `No mask on this frame: object ${ids.join(', ')}` : '';
}

/** Return a button that chooses an object. @param {number} id */
function createObjectButton(id) {
  const button = document.createElement('button');
  const dot = document.createElement('span');
  dot.style.background = `rgb(${COLORS[id - 1].join()})`;
  button.append(dot, `Object ${id}`);
  button.addEventListener('click', () => update({ objectId: id }));
  return button;
}

/** What the view shows: a frame and its stored masks. @type {unknown[]} */
let shown = [];

/** Draw the frame with its masks, unless it is shown. */
function drawFrame() {
  const { image, position, store } = state;
  const masks = store.frames.get(position);
  if (shown[0] === image && shown[1] === masks) return;
  shown = [image, masks];
  const { width, height } = image;
  if (view.width !== width || view.height !== height) {
    for (const canvas of [view, marks]) Object.assign(canvas, { width, height });
    const stage = /** @type {HTMLElement} */ (view.parentElement);
    stage.style.width = `min(100%, ${(75 * width) / height}vh)`;
  }
  context.putImageData(drawOverlay(image, store.get(position)), 0, 0);
}

/** Draw the prompts of the frame and the box that is being drawn. */
function drawMarks() {
  const { drag, prompts } = state;
  marksContext.clearRect(0, 0, marks.width, marks.height);
  marksContext.lineWidth = 2;
  marksContext.strokeStyle = '#fff';
  if (drag) marksContext.strokeRect(drag[0], drag[1], drag[2] - drag[0], drag[3] - drag[1]);
  for (const [id, { positive, negative, box }] of prompts) {
    marksContext.strokeStyle = `rgb(${COLORS[id - 1].join()})`;
    if (box) marksContext.strokeRect(...box);
    for (const [points, color] of /** @type {const} */ ([[positive, '#fff'], [negative, '#000']])) {
      for (const [x, y] of points) {
        marksContext.beginPath();
        marksContext.arc(x + 0.5, y + 0.5, 6, 0, 7);
        marksContext.fillStyle = color;
        marksContext.fill();
        marksContext.stroke();
      }
    }
  }
}

/** @param {number} index @param {ImageData} image */
export function show(index, image) {
  update({ position: index, image, prompts: index === state.position ? state.prompts : new Map() });
}

/**
 * Return the place under the pointer, in pixels from the frame's corner.
 * @param {PointerEvent} event
 * @returns {[number, number]}
 */
function findPixel(event) {
  const box = view.getBoundingClientRect();
  return [((event.clientX - box.left) * view.width) / box.width, ((event.clientY - box.top) * view.height) / box.height];
}

/** Return the part of the view without bars. */
function findContent() {
  return state.video?.content ?? { x: 0, y: 0, width: view.width, height: view.height };
}

/** Return whether the pointer is over the video, not over a bar. @param {PointerEvent} event */
export function isInVideo(event) {
  const [pixelX, pixelY] = findPixel(event);
  const { x, y, width, height } = findContent();
  return pixelX >= x && pixelY >= y && pixelX <= x + width && pixelY <= y + height;
}

/**
 * Return the place in the video nearest to the pointer, in pixels from the frame's corner.
 * @param {PointerEvent} event
 * @returns {[number, number]}
 */
export function locate(event) {
  const [pixelX, pixelY] = findPixel(event);
  const { x, y, width, height } = findContent();
  return [Math.min(x + width, Math.max(x, pixelX)), Math.min(y + height, Math.max(y, pixelY))];
}
