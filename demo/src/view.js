/** The shown frame, controls and messages of the page. */

import { COLORS, drawOverlay } from './labels.js';
import { CANCELED, state } from './state.js';
import { HEIGHT, WIDTH } from './video.js';

/** @template {HTMLElement} T @param {string} id @returns {T} */
export const element = (id) => /** @type {T} */ (document.getElementById(id));
export const view = /** @type {HTMLCanvasElement} */ (element('view'));
const context = /** @type {CanvasRenderingContext2D} */ (view.getContext('2d'));
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
  draw();
  updateControls();
}

function updateControls() {
  const { model, video, store, position, objectCount, activity, history } = state;
  const [idle, marked] = [activity === null, store.frames.size > 0];
  const playing = activity?.name === 'play';
  /** @type {[string, boolean][]} */
  const enabled = [
    ['play', video !== null && (idle || playing)],
    ['frame', video !== null && (idle || playing)],
    ['add', idle && marked && objectCount < COLORS.length],
    ['clear', idle && marked],
    ['undo', idle && history.length > 0],
    ['track', idle && Boolean(model?.backend) && store.hasObjects(position)],
    ['cancel', activity !== null && activity.name in CANCELED],
    ['masks', idle && marked],
    ['overlay', idle && marked],
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
  [...group.children].forEach((button, index) => button.setAttribute('aria-pressed', String(index + 1 === state.objectId)));
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

function draw() {
  const { drag, image, position, prompts, store } = state;
  context.putImageData(drawOverlay(image, store.get(position)), 0, 0);
  context.lineWidth = 2;
  context.strokeStyle = '#fff';
  if (drag) context.strokeRect(drag[0], drag[1], drag[2] - drag[0], drag[3] - drag[1]);
  for (const [id, { positive, negative, box }] of prompts) {
    context.strokeStyle = `rgb(${COLORS[id - 1].join()})`;
    if (box) context.strokeRect(...box);
    for (const [points, color] of /** @type {const} */ ([[positive, '#fff'], [negative, '#000']])) {
      for (const [x, y] of points) {
        context.beginPath();
        context.arc(x + 0.5, y + 0.5, 6, 0, 7);
        context.fillStyle = color;
        context.fill();
        context.stroke();
      }
    }
  }
}

/** @param {number} index @param {ImageData} image */
export function show(index, image) {
  update({ position: index, image, prompts: index === state.position ? state.prompts : new Map() });
}

/**
 * Return the place under the pointer within the video, in pixels from the frame's corner.
 * @param {PointerEvent} event
 * @returns {[number, number]}
 */
export function locate(event) {
  const box = view.getBoundingClientRect();
  const { x, y, width, height } = state.video?.content ?? { x: 0, y: 0, width: WIDTH, height: HEIGHT };
  /** @param {number} value @param {number} low @param {number} extent */
  const clamp = (value, low, extent) => Math.min(low + extent, Math.max(low, value));
  const pixelX = ((event.clientX - box.left) * WIDTH) / box.width;
  const pixelY = ((event.clientY - box.top) * HEIGHT) / box.height;
  return [clamp(pixelX, x, width), clamp(pixelY, y, height)];
}
