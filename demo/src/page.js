/** The page: a video, its marked objects, tracking, downloads. */

import { zipSync } from 'fflate';
import { COLORS, LabelStore, drawOverlay, encodePng } from './labels.js';
import { Model, describeError } from './model.js';
import { HEIGHT, Video, WIDTH, encodeWebm } from './video.js';

/** @typedef {import('./prompts.js').Prompt} Prompt */
/** @typedef {'open' | 'play' | 'segment' | 'track' | 'export'} Activity */

/**
 * What Undo restores.
 * @typedef {object} Work
 * @property {Video | null} video
 * @property {LabelStore} store
 * @property {number} position index of the shown frame
 * @property {ImageData} image shown frame
 * @property {number} objectId chosen object
 * @property {number} objectCount
 * @property {ReadonlyMap<number, Prompt>} prompts of the objects on the shown frame, by id
 */

/** What is shown when an activity is canceled; others end by themselves. @type {Partial<Record<Activity, string>>} */
const CANCELED = { open: 'Opening canceled', track: 'Tracking canceled', export: 'Download canceled' };

/** Number of changes that can be undone. */
const MAX_UNDO = 20;

/** Shortest drag in pixels of a frame that is a box; a shorter one is a click. */
const MIN_DRAG = 6;

/** @template {HTMLElement} T @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));
const view = /** @type {HTMLCanvasElement} */ (element('view'));
const context = /** @type {CanvasRenderingContext2D} */ (view.getContext('2d'));
const slider = /** @type {HTMLInputElement} */ (element('frame'));
const size = /** @type {HTMLSelectElement} */ (element('size'));
const compute = /** @type {HTMLSelectElement} */ (element('compute'));
const exclude = /** @type {HTMLInputElement} */ (element('exclude'));
const progress = /** @type {HTMLProgressElement} */ (element('progress'));

/** @type {Work} */
const emptyWork = {
  video: null, store: new LabelStore(), position: 0, image: new ImageData(WIDTH, HEIGHT), objectId: 1, objectCount: 1, prompts: new Map(),
};

const state = {
  ...emptyWork,
  /** @type {Model | null} */
  model: null,
  /** Whether the model is being loaded. */
  loading: false,
  /** Work before each change, oldest first. @type {Work[]} */
  history: [],
  /** Whether the work changed since it was downloaded. */
  unsaved: false,
  /** Box that is being drawn: start and end. @type {[number, number, number, number] | null} */
  drag: null,
  /** Running activity. @type {{name: Activity, controller: AbortController} | null} */
  activity: null,
  /** Ends the decoding of a frame to show. */
  seeking: new AbortController(),
};

/** @param {string} text @param {boolean} [failed] */
function showStatus(text, failed = false) {
  element('status').textContent = text;
  element('status').classList.toggle('error', failed);
}

/** @param {unknown} error */
function showError(error) {
  showStatus(describeError(error), true);
}

/** @param {import('./worker.js').Progress} loaded */
function showProgress({ stage, done, total }) {
  progress.value = total ? Math.min(1, done / total) : 0;
  const megabytes = (/** @type {number} */ bytes) => Math.round(bytes / 1e6);
  const ofTotal = total ? ` of ${megabytes(total)}` : ''; // some servers send no Content-Length
  showStatus(stage === 'download' ? `Loading the model: ${megabytes(done)}${ofTotal} MB` : 'Preparing the model…');
}

function updateControls() {
  const { model, video, store, position, objectCount, activity, history } = state;
  const [idle, marked] = [activity === null, store.frames.size > 0];
  const playing = activity?.name === 'play';
  /** @type {[string, boolean][]} */
  const enabled = [
    ['play', video !== null && (idle || playing)], ['frame', video !== null && (idle || playing)],
    ['add', idle && marked && objectCount < COLORS.length], ['clear', idle && marked], ['undo', idle && history.length > 0],
    ['track', idle && Boolean(model?.backend) && store.frames.has(position)], ['cancel', activity !== null && activity.name in CANCELED],
    ['size', idle], ['compute', idle], ['file', idle], ['masks', idle && marked], ['overlay', idle && marked],
  ];
  for (const [id, value] of enabled) /** @type {HTMLButtonElement} */ (element(id)).disabled = !value;
  element('play').textContent = playing ? '⏸' : '▶';
  element('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
  progress.hidden = !state.loading && activity?.name !== 'track';
  slider.max = String(video ? video.timestamps.length - 1 : 0);
  slider.value = String(position);
  element('position').textContent = video ? `${position + 1} / ${video.timestamps.length}` : '0 / 0';
}

function showObjects() {
  element('objects').replaceChildren(...Array.from({ length: state.objectCount }, (_, index) => {
    const button = document.createElement('button');
    const dot = document.createElement('span');
    dot.style.background = `rgb(${COLORS[index].join()})`;
    button.append(dot, `Object ${index + 1}`);
    button.setAttribute('aria-pressed', String(state.objectId === index + 1));
    button.addEventListener('click', () => {
      state.objectId = index + 1;
      showObjects();
    });
    return button;
  }));
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
        context.arc(x, y, 6, 0, 7);
        context.fillStyle = color;
        context.fill();
        context.stroke();
      }
    }
  }
}

/** @param {number} index @param {ImageData} image */
function show(index, image) {
  if (index !== state.position) state.prompts = new Map();
  Object.assign(state, { position: index, image });
  draw();
  updateControls();
}

/** @returns {Work} */
function copyWork() {
  const { video, store, position, image, objectId, objectCount, prompts } = state;
  return { video, store: new LabelStore(store.frames), position, image, objectId, objectCount, prompts };
}

/** Save the state for Undo. */
function remember(work = copyWork()) {
  state.history = [...state.history, work].slice(-MAX_UNDO);
  state.unsaved = true;
}

function undo() {
  state.seeking.abort();
  Object.assign(state, state.history.pop(), { unsaved: true });
  showObjects();
  draw();
  updateControls();
  showStatus('Undone');
}

/** Decode and show a frame; the last call wins. @param {number} index */
async function seek(index) {
  if (!state.video) return;
  state.seeking.abort();
  state.seeking = new AbortController();
  const { signal } = state.seeking;
  try {
    for await (const image of state.video.read(index, index + 1)) if (!signal.aborted) show(index, image);
  } catch (error) {
    if (!signal.aborted) showError(error);
  }
}

/**
 * Run an activity and show its failure; it ends the running one.
 * @param {Activity} name
 * @param {(signal: AbortSignal) => Promise<string>} run throws when it is aborted, returns the status
 */
async function perform(name, run) {
  state.activity?.controller.abort();
  state.seeking.abort();
  const activity = { name, controller: new AbortController() };
  const { signal } = activity.controller;
  state.activity = activity;
  updateControls();
  try {
    const status = await run(signal);
    if (!signal.aborted) showStatus(status);
  } catch (error) {
    if (!signal.aborted) showError(error);
  }
  if (state.activity === activity) state.activity = null;
  updateControls();
}

/** End the running activity at once. */
function cancel() {
  if (!state.activity) return;
  state.activity.controller.abort();
  showStatus(CANCELED[state.activity.name] ?? '');
  state.activity = null;
  updateControls();
}

async function loadModel() {
  state.model?.close(new Error('Another model is loaded'));
  const model = new Model(showProgress, (error) => {
    showError(error);
    updateControls();
  });
  const name = size.value;
  Object.assign(state, { model, loading: true });
  progress.value = 0;
  showStatus('Loading the model…');
  updateControls();
  let problem = '';
  try {
    model.backend = await model.call('load', new URL('.', location.href).href, name, compute.value === 'gpu');
  } catch (error) {
    problem = describeError(error);
  }
  if (state.model !== model) return;
  state.loading = false;
  element('speed').textContent = model.backend;
  if (problem) showStatus(`Model ${name}: cannot be loaded; reload the page, or compute on the CPU (${problem})`, true);
  else showStatus('Ready: drag a box around an object, or click on it');
  updateControls();
}

/** @param {Blob} file @param {string} name */
async function openVideo(file, name) {
  await perform('open', async (signal) => {
    showStatus(`Opening ${name}…`);
    const video = await Video.open(file, name);
    signal.throwIfAborted();
    const frames = video.timestamps.length;
    if (!frames) throw new Error(`${name}: contains no frames`);
    for await (const image of video.read(0, 1)) {
      signal.throwIfAborted();
      if (state.video) remember();
      state.video = video;
      reset();
      show(0, image);
    }
    return video.truncated ? `${name}: the first ${frames} frames` : `${name}: ${frames} frames`;
  });
}

/** Drop all objects. */
function reset() {
  Object.assign(state, { store: new LabelStore(), prompts: new Map(), objectId: 1, objectCount: 1 });
  showObjects();
  draw();
  updateControls();
}

/** Segment the chosen object with one more prompt. @param {Partial<Prompt>} added */
async function segment({ positive = [], negative = [], box = null }) {
  const { model, objectId, position, image, prompts, store } = state;
  if (!model?.backend || !state.video || state.activity) return;
  const old = prompts.get(objectId) ?? { positive: [], negative: [], box: null };
  const prompt = { positive: [...old.positive, ...positive], negative: [...old.negative, ...negative], box: box ?? old.box };
  if (!prompt.positive.length && !prompt.box) {
    showStatus('Mark the object first, then what does not belong to it', true);
    return;
  }
  const work = copyWork();
  state.prompts = new Map(prompts).set(objectId, prompt);
  draw();
  await perform('segment', async (signal) => {
    showStatus('Segmenting…');
    const labels = store.get(position) ?? new Uint8Array(WIDTH * HEIGHT);
    const otherObjects = labels.map((label) => Number(label !== 0 && label !== objectId));
    try {
      const mask = await model.call('segment', image, prompt, otherObjects);
      signal.throwIfAborted();
      if (!mask.includes(1)) throw new Error(`Object ${objectId}: no pixel found there; try another box or click`);
      store.set(position, labels.map((label, pixel) => (mask[pixel] ? objectId : label === objectId ? 0 : label)));
    } catch (error) {
      state.prompts = prompts;
      throw error;
    } finally {
      draw();
    }
    remember(work);
    return `Object ${objectId} marked: add clicks to correct it, mark another object, or track`;
  });
}

async function track() {
  const { model, video, store, position: first, image } = state;
  const labels = store.get(first);
  if (!model?.backend || !video || !labels) return;
  const count = video.timestamps.length - 1 - first;
  if (!count) {
    showStatus('No frame follows this one: mark an object on an earlier frame to track it', true);
    return;
  }
  await perform('track', async (signal) => {
    progress.value = 0;
    showStatus('Tracking…');
    await model.call('start', image, labels);
    signal.throwIfAborted();
    const begin = performance.now();
    let done = 0;
    for await (const frame of video.read(first + 1)) {
      signal.throwIfAborted();
      const found = await model.call('step', frame);
      signal.throwIfAborted();
      if (!done) remember();
      done += 1;
      store.set(first + done, found);
      show(first + done, frame);
      progress.value = done / count;
      const speed = (done * 1000) / (performance.now() - begin);
      element('speed').textContent = `${speed.toFixed(1)} frames/s, ${model.backend}`;
    }
    return `Tracked ${done} frames: scrub, correct, download or undo`;
  });
}

async function play() {
  const { activity, video } = state;
  if (activity?.name === 'play') {
    cancel();
    return;
  }
  if (!video) return;
  await perform('play', async (signal) => {
    let index = state.position + 1 < video.timestamps.length ? state.position : 0;
    const [begin, start] = [performance.now(), video.timestamps[index]];
    for await (const frame of video.read(index)) {
      const wait = 1000 * (video.timestamps[index] - start) - (performance.now() - begin);
      await new Promise((resolve) => setTimeout(resolve, wait));
      signal.throwIfAborted();
      show(index, frame);
      index += 1;
    }
    return '';
  });
}

/** @param {Blob} blob @param {string} suffix */
function download(blob, suffix) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${state.video?.name.replace(/\.[^.]*$/, '')}_${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function saveMasks() {
  const { store, video } = /** @type {typeof state & {video: Video}} */ (state);
  await perform('export', async (signal) => {
    /** @type {Record<string, [Uint8Array, {level: 0}]>} */
    const files = {};
    for (const index of [...store.frames.keys()].sort((first, second) => first - second)) {
      const png = encodePng(/** @type {Uint8Array} */ (store.get(index)), WIDTH, video.content, [video.width, video.height]);
      files[`${String(index).padStart(5, '0')}.png`] = [png, { level: 0 }];
      showStatus(`Writing masks: ${Object.keys(files).length} of ${store.frames.size}`);
      await new Promise((resolve) => setTimeout(resolve));
      signal.throwIfAborted();
    }
    download(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (zipSync(files))], { type: 'application/zip' }), 'masks.zip');
    state.unsaved = false;
    return `${Object.keys(files).length} masks saved`;
  });
}

async function saveOverlay() {
  const { store, video } = /** @type {typeof state & {video: Video}} */ (state);
  await perform('export', async (signal) => {
    const indices = [...store.frames.keys()];
    const [first, last] = [Math.min(...indices), Math.max(...indices)];
    async function* frames() {
      let index = first;
      for await (const frame of video.read(first, last + 1)) {
        signal.throwIfAborted();
        showStatus(`Encoding frame ${index - first + 1} of ${last - first + 1}`);
        yield drawOverlay(frame, store.get(index));
        index += 1;
      }
    }
    const blob = await encodeWebm(video, frames(), first);
    signal.throwIfAborted();
    download(blob, 'overlay.webm');
    return 'Overlay saved';
  });
}

/**
 * Return the pixel of the frame under the pointer, within the video.
 * @param {PointerEvent} event
 * @returns {[number, number]}
 */
function locate(event) {
  const box = view.getBoundingClientRect();
  const { x, y, width, height } = state.video?.content ?? { x: 0, y: 0, width: WIDTH, height: HEIGHT };
  /** @param {number} value @param {number} low @param {number} extent */
  const clamp = (value, low, extent) => Math.min(low + extent, Math.max(low, value));
  const pixelX = ((event.clientX - box.left) * WIDTH) / box.width;
  const pixelY = ((event.clientY - box.top) * HEIGHT) / box.height;
  return [clamp(pixelX, x, width), clamp(pixelY, y, height)];
}

function listen() {
  view.addEventListener('pointerdown', (event) => {
    if (state.activity || event.button) return;
    if (!state.model?.backend) {
      showStatus(state.loading ? 'The model is not loaded yet' : 'No model is loaded; reload the page', !state.loading);
      return;
    }
    view.setPointerCapture(event.pointerId);
    const point = locate(event);
    state.drag = [...point, ...point];
  });
  view.addEventListener('pointermove', (event) => {
    if (!state.drag) return;
    [state.drag[2], state.drag[3]] = locate(event);
    draw();
  });
  view.addEventListener('pointercancel', () => {
    state.drag = null;
    draw();
  });
  view.addEventListener('pointerup', (event) => {
    if (!state.drag) return;
    const [x0, y0] = state.drag;
    const [x1, y1] = locate(event);
    state.drag = null;
    draw();
    const [width, height] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
    if (Math.min(width, height) >= MIN_DRAG) segment({ box: [Math.min(x0, x1), Math.min(y0, y1), width, height] });
    else if (Math.max(width, height) < MIN_DRAG) segment(event.shiftKey || exclude.checked ? { negative: [[x0, y0]] } : { positive: [[x0, y0]] });
  });
  slider.addEventListener('input', () => {
    if (state.activity?.name === 'play') cancel();
    seek(Number(slider.value));
  });
  /** @type {[string, () => void][]} */
  const actions = [
    ['play', play], ['track', track], ['cancel', cancel], ['undo', undo], ['masks', saveMasks], ['overlay', saveOverlay],
    ['clear', () => {
      remember();
      reset();
    }],
    ['add', () => {
      state.objectCount += 1;
      state.objectId = state.objectCount;
      showObjects();
      updateControls();
    }],
  ];
  for (const [id, action] of actions) element(id).addEventListener('click', action);
  size.addEventListener('change', loadModel);
  compute.addEventListener('change', loadModel);
  const file = /** @type {HTMLInputElement} */ (element('file'));
  file.addEventListener('change', () => {
    const chosen = file.files?.[0];
    file.value = ''; // the same file can be chosen again
    if (chosen) openVideo(chosen, chosen.name);
  });
  for (const name of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle('dropping', name === 'dragover');
    });
  }
  window.addEventListener('beforeunload', (event) => {
    if (state.unsaved && state.store.frames.size) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    const dropped = event.dataTransfer?.files[0];
    if (dropped && !state.activity) openVideo(dropped, dropped.name);
  });
}

/** Return a sentence if the browser lacks something that the page needs. */
function findMissing() {
  if (typeof WebAssembly !== 'object') return 'WebAssembly is off in this browser; switch it on, or use another browser';
  if (typeof VideoDecoder !== 'function') return 'This browser or address offers no WebCodecs; use https or localhost, and a browser of 2025 or later';
  return '';
}

/** Reload once with the headers for threads; without a service worker the model runs in one thread. */
async function isolate() {
  if (crossOriginIsolated || !navigator.serviceWorker) return;
  try {
    if (sessionStorage.getItem('isolated')) return;
    await navigator.serviceWorker.register('isolate.js');
    await navigator.serviceWorker.ready;
    sessionStorage.setItem('isolated', 'tried');
    location.reload();
    await new Promise(() => {});
  } catch {
    // some browsers refuse service workers or storage, as in private windows
  }
}

async function main() {
  const missing = findMissing();
  if (missing) {
    showStatus(missing, true);
    return;
  }
  await isolate();
  listen();
  showObjects();
  // onnxruntime's smaller and faster WebGPU build needs JavaScript promise integration
  const gpu = 'Suspending' in WebAssembly && /** @type {any} */ (navigator).gpu;
  if (gpu && (await gpu.requestAdapter().catch(() => null))) {
    compute.add(new Option('GPU (WebGPU)', 'gpu'));
    compute.value = 'gpu';
  }
  const sample = await fetch('sample.webm').then((answer) => (answer.ok ? answer.blob() : null)).catch(() => null);
  if (sample) await openVideo(sample, 'sample.webm');
  else showStatus('sample.webm: cannot be fetched; open a video of your own', true);
  const problem = element('status').textContent;
  await loadModel();
  if (!state.video && state.model?.backend) showStatus(problem, true);
}

main();
