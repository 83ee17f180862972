/** The page: a video, its marked objects, tracking, downloads. */

import { zipSync } from 'fflate';
import { COLOURS, LabelStore, drawOverlay, encodePng } from './labels.js';
import { HEIGHT, Video, WIDTH, encodeWebm } from './video.js';

/** @typedef {import('./prompts.js').Prompt} Prompt */
/** @typedef {'' | 'play' | 'segment' | 'track' | 'save'} Activity */

/** Distance in pixels of a frame from which a press and its release are a box. */
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

/** A worker with a loaded model. */
class Model {
  constructor() {
    this.worker = new Worker('worker.js', { type: 'module' });
    /** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
    this.calls = new Map();
    this.count = 0;
    this.backend = '';
    this.worker.addEventListener('message', ({ data }) => {
      if (data.progress) {
        showProgress(data.progress);
        return;
      }
      const call = this.calls.get(data.id);
      this.calls.delete(data.id);
      if (data.error) call?.reject(new Error(data.error));
      else call?.resolve(data.result);
    });
    this.worker.addEventListener('error', ({ message }) => {
      for (const { reject } of this.calls.values()) reject(new Error(message || 'the worker cannot be started'));
    });
  }

  /** Call a method of the worker. @param {string} method @param {any[]} args */
  call(method, ...args) {
    return new Promise((resolve, reject) => {
      this.count += 1;
      this.calls.set(this.count, { resolve, reject });
      this.worker.postMessage({ id: this.count, method, args });
    });
  }
}

/** @type {Model | null} Loaded model. */
let model = null;
/** @type {Video | null} */
let video = null;
let store = new LabelStore();
/** Shown frame. */
let position = 0;
/** @type {ImageData} */
let image = new ImageData(WIDTH, HEIGHT);
let objectId = 1;
let objectCount = 1;
/** Prompts of the objects on the shown frame, by id. @type {Map<number, Prompt>} */
let prompts = new Map();
/** Box that is being drawn: start and end. @type {[number, number, number, number] | null} */
let drag = null;
/** The running job; another number ends it. */
let job = 0;
/** @type {Activity} */
let activity = '';

/** @param {string} text @param {boolean} [failed] */
function showStatus(text, failed = false) {
  element('status').textContent = text;
  element('status').classList.toggle('error', failed);
}

/** @param {import('./worker.js').Progress} loaded */
function showProgress({ stage, done, total }) {
  progress.hidden = false;
  progress.value = total ? Math.min(1, done / total) : 0;
  const megabytes = (/** @type {number} */ bytes) => Math.round(bytes / 1e6);
  showStatus(stage === 'download' ? `Loading the model: ${megabytes(done)} of ${megabytes(total)} MB` : 'Preparing the model…');
}

function updateControls() {
  const idle = activity === '';
  const marked = store.frames.size > 0;
  /** @type {[string, boolean][]} */
  const enabled = [
    ['play', video !== null && (idle || activity === 'play')], ['frame', video !== null && (idle || activity === 'play')],
    ['add', idle && marked && objectCount < COLOURS.length], ['clear', idle && marked],
    ['track', idle && model !== null && store.frames.has(position)], ['cancel', activity === 'track' || activity === 'save'],
    ['size', idle], ['compute', idle], ['file', idle], ['masks', idle && marked], ['overlay', idle && marked],
  ];
  for (const [id, value] of enabled) /** @type {HTMLButtonElement} */ (element(id)).disabled = !value;
  element('play').textContent = activity === 'play' ? '⏸' : '▶';
  element('play').setAttribute('aria-label', activity === 'play' ? 'Pause' : 'Play');
  slider.value = String(position);
  element('position').textContent = video ? `${position + 1} / ${video.timestamps.length}` : '0 / 0';
}

function showObjects() {
  element('objects').replaceChildren(...Array.from({ length: objectCount }, (_, index) => {
    const button = document.createElement('button');
    const dot = document.createElement('span');
    dot.style.background = `rgb(${COLOURS[index].join()})`;
    button.append(dot, `Object ${index + 1}`);
    button.setAttribute('aria-pressed', String(objectId === index + 1));
    button.addEventListener('click', () => {
      objectId = index + 1;
      showObjects();
    });
    return button;
  }));
}

function draw() {
  context.putImageData(drawOverlay(image, store.get(position)), 0, 0);
  context.lineWidth = 2;
  context.strokeStyle = '#fff';
  if (drag) context.strokeRect(drag[0], drag[1], drag[2] - drag[0], drag[3] - drag[1]);
  for (const [id, { positive, negative, box }] of prompts) {
    context.strokeStyle = `rgb(${COLOURS[id - 1].join()})`;
    if (box) context.strokeRect(...box);
    for (const [points, colour] of /** @type {const} */ ([[positive, '#fff'], [negative, '#000']])) {
      for (const [x, y] of points) {
        context.beginPath();
        context.arc(x, y, 6, 0, 7);
        context.fillStyle = colour;
        context.fill();
        context.stroke();
      }
    }
  }
}

/** @param {number} index @param {ImageData} frame */
function show(index, frame) {
  if (index !== position) prompts = new Map();
  [position, image] = [index, frame];
  draw();
  updateControls();
}

/** Decode and show a frame; the last call wins. @param {number} index */
async function seek(index) {
  if (!video) return;
  const [current, shown] = [++job, video];
  for await (const frame of shown.read(index, index + 1)) if (current === job) show(index, frame);
}

/**
 * Run an activity and show its failure.
 * @param {Activity} name
 * @param {(current: () => boolean) => Promise<string>} run gets whether it may continue, returns the status
 */
async function perform(name, run) {
  const number = ++job;
  activity = name;
  updateControls();
  try {
    const status = await run(() => number === job);
    if (number === job) showStatus(status);
  } catch (error) {
    if (number === job) showStatus(error instanceof Error ? error.message : String(error), true);
  }
  if (number === job) {
    activity = '';
    progress.hidden = true;
    updateControls();
  }
}

/** End the running activity at once. @param {string} status */
function cancel(status) {
  job += 1;
  activity = '';
  progress.hidden = true;
  showStatus(status);
  updateControls();
}

async function loadModel() {
  model?.worker.terminate();
  model = null;
  showStatus('Loading the model…');
  updateControls();
  const loading = new Model();
  model = loading;
  const name = size.value;
  try {
    const folder = new URL('.', location.href).href;
    loading.backend = await loading.call('load', folder, name, compute.value === 'gpu');
    if (model !== loading) return;
    element('speed').textContent = loading.backend;
    showStatus('Ready: drag a box around an object, or click on it');
  } catch (error) {
    if (model === loading) {
      model = null;
      showStatus(`Model ${name}: cannot be loaded (${error instanceof Error ? error.message : error}); reload the page, or compute on the CPU`, true);
    }
  }
  progress.hidden = true;
  updateControls();
}

/** @param {Blob} file @param {string} name */
async function openVideo(file, name) {
  await perform('save', async (current) => {
    showStatus(`Opening ${name}…`);
    const opened = await Video.open(file, name);
    if (!current()) return '';
    const frames = opened.timestamps.length;
    if (!frames) throw new Error(`${name}: holds no frame`);
    video = opened;
    clear();
    slider.max = String(frames - 1);
    for await (const frame of opened.read(0, 1)) show(0, frame);
    return opened.cut ? `${name}: the first ${frames} frames` : `${name}: ${frames} frames`;
  });
}

function clear() {
  [store, prompts, objectId, objectCount] = [new LabelStore(), new Map(), 1, 1];
  showObjects();
  draw();
  updateControls();
}

/** Segment the chosen object with one more prompt. @param {Partial<Prompt>} added */
async function segment({ positive = [], negative = [], box = null }) {
  if (!model || !video || activity) return;
  const [used, id] = [model, objectId];
  const old = prompts.get(id) ?? { positive: [], negative: [], box: null };
  const prompt = { positive: [...old.positive, ...positive], negative: [...old.negative, ...negative], box: box ?? old.box };
  if (!prompt.positive.length && !prompt.box) {
    showStatus('Mark the object first, then what does not belong to it', true);
    return;
  }
  prompts.set(id, prompt);
  draw();
  await perform('segment', async (current) => {
    showStatus('Segmenting…');
    const labels = store.get(position) ?? new Uint8Array(WIDTH * HEIGHT);
    const taken = labels.map((label) => Number(label !== 0 && label !== id));
    const mask = await used.call('segment', image, prompt, taken);
    if (!current()) return '';
    if (!mask.includes(1)) {
      prompts.delete(id);
      draw();
      throw new Error(`Object ${id}: no pixel found there; give another box or point`);
    }
    store.set(position, labels.map((label, pixel) => (mask[pixel] ? id : label === id ? 0 : label)));
    draw();
    return `Object ${id} marked: add clicks to correct it, mark another object, or track`;
  });
}

async function track() {
  const [used, tracked, labels, first] = [model, video, store.get(position), position];
  if (!used || !tracked || !labels) return;
  await perform('track', async (current) => {
    store.dropAfter(first);
    showStatus('Tracking…');
    progress.hidden = false;
    await used.call('start', image, labels);
    const begin = performance.now();
    let index = first;
    for await (const frame of tracked.read(first + 1)) {
      const found = current() && (await used.call('step', frame));
      if (!current()) return '';
      index += 1;
      store.set(index, found);
      show(index, frame);
      progress.value = (index - first) / (tracked.timestamps.length - 1 - first);
      const speed = ((index - first) * 1000) / (performance.now() - begin);
      element('speed').textContent = `${speed.toFixed(1)} frames/s, ${used.backend}`;
    }
    return `Tracked ${index - first} frames: scrub, correct or download`;
  });
}

async function play() {
  if (activity === 'play') {
    cancel('');
    return;
  }
  const played = video;
  if (!played) return;
  await perform('play', async (current) => {
    let index = position + 1 < played.timestamps.length ? position : 0;
    const [begin, start] = [performance.now(), played.timestamps[index]];
    for await (const frame of played.read(index)) {
      const wait = 1000 * (played.timestamps[index] - start) - (performance.now() - begin);
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (!current()) return '';
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
  link.download = `${video?.name.replace(/\.[^.]*$/, '')}_${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function saveMasks() {
  await perform('save', async (current) => {
    /** @type {Record<string, [Uint8Array, {level: 0}]>} */
    const files = {};
    for (const index of [...store.frames.keys()].sort((first, second) => first - second)) {
      const { content, width, height } = /** @type {Video} */ (video);
      const png = encodePng(/** @type {Uint8Array} */ (store.get(index)), WIDTH, content, [width, height]);
      files[`${String(index).padStart(5, '0')}.png`] = [png, { level: 0 }];
      showStatus(`Writing masks: ${Object.keys(files).length} of ${store.frames.size}`);
      await new Promise((resolve) => setTimeout(resolve));
      if (!current()) return '';
    }
    download(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (zipSync(files))], { type: 'application/zip' }), 'masks.zip');
    return `${Object.keys(files).length} masks saved`;
  });
}

async function saveOverlay() {
  await perform('save', async (current) => {
    const saved = /** @type {Video} */ (video);
    const indices = [...store.frames.keys()];
    const [first, last] = [Math.min(...indices), Math.max(...indices)];
    async function* frames() {
      let index = first;
      for await (const frame of saved.read(first, last + 1)) {
        if (!current()) return;
        showStatus(`Encoding frame ${index - first + 1} of ${last - first + 1}`);
        yield drawOverlay(frame, store.get(index));
        index += 1;
      }
    }
    const blob = await encodeWebm(saved, frames(), first);
    if (current()) download(blob, 'overlay.webm');
    return 'Overlay saved';
  });
}

/** Return the pixel of the frame under the pointer, within the video. @param {PointerEvent} event @returns {[number, number]} */
function locate(event) {
  const box = view.getBoundingClientRect();
  const { x, y, width, height } = video?.content ?? { x: 0, y: 0, width: WIDTH, height: HEIGHT };
  /** @param {number} value @param {number} low @param {number} extent */
  const clamp = (value, low, extent) => Math.min(low + extent, Math.max(low, value));
  return [clamp(((event.clientX - box.left) * WIDTH) / box.width, x, width), clamp(((event.clientY - box.top) * HEIGHT) / box.height, y, height)];
}

function listen() {
  view.addEventListener('pointerdown', (event) => {
    if (activity || event.button) return;
    if (!model?.backend) {
      showStatus('The model is not loaded yet');
      return;
    }
    view.setPointerCapture(event.pointerId);
    const point = locate(event);
    drag = [...point, ...point];
  });
  view.addEventListener('pointermove', (event) => {
    if (!drag) return;
    [drag[2], drag[3]] = locate(event);
    draw();
  });
  view.addEventListener('pointercancel', () => {
    drag = null;
    draw();
  });
  view.addEventListener('pointerup', (event) => {
    if (!drag) return;
    const [x0, y0] = drag;
    const [x1, y1] = locate(event);
    drag = null;
    const [width, height] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
    if (Math.min(width, height) >= MIN_DRAG) segment({ box: [Math.min(x0, x1), Math.min(y0, y1), width, height] });
    else if (Math.max(width, height) >= MIN_DRAG) draw();
    else segment(event.shiftKey || exclude.checked ? { negative: [[x0, y0]] } : { positive: [[x0, y0]] });
  });
  slider.addEventListener('input', () => {
    if (activity === 'play') cancel('');
    seek(Number(slider.value));
  });
  /** @type {[string, () => void][]} */
  const actions = [
    ['play', play], ['track', track], ['cancel', () => cancel('Cancelled')], ['clear', clear], ['masks', saveMasks], ['overlay', saveOverlay],
    ['add', () => {
      objectCount += 1;
      objectId = objectCount;
      showObjects();
      updateControls();
    }],
  ];
  for (const [id, action] of actions) element(id).addEventListener('click', action);
  size.addEventListener('change', loadModel);
  compute.addEventListener('change', loadModel);
  const file = /** @type {HTMLInputElement} */ (element('file'));
  file.addEventListener('change', () => file.files?.[0] && openVideo(file.files[0], file.files[0].name));
  for (const name of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle('dropping', name === 'dragover');
    });
  }
  document.addEventListener('drop', (event) => {
    const dropped = event.dataTransfer?.files[0];
    if (dropped && !activity) openVideo(dropped, dropped.name);
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
  if (crossOriginIsolated || !navigator.serviceWorker || sessionStorage.getItem('isolated')) return;
  try {
    await navigator.serviceWorker.register('isolate.js');
    await navigator.serviceWorker.ready;
    sessionStorage.setItem('isolated', 'tried');
    location.reload();
    await new Promise(() => {});
  } catch {
    // private windows of some browsers refuse service workers
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
  if (!video && model) showStatus(problem, true);
}

main();
