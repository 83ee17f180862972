/** The page: listens to its controls, and starts with the sample and a model. */

import { cancel, clear, loadModel, mark, openVideo, play, seek, track, undo } from './activities.js';
import { saveMasks, saveMatte, saveOverlay } from './downloads.js';
import { BUSY, state } from './state.js';
import { compute, element, isInVideo, locate, negativeClicks, showStatus, size, slider, update, view } from './view.js';
import { WAIT_FOR_MODEL } from './words.js';

/** Shortest drag in pixels of a frame that is a box; a shorter one is a click. */
const MIN_DRAG = 6;

/** Return whether an activity runs, and tell the user what to do first. */
function isBusy() {
  if (state.activity) showStatus(BUSY[state.activity.name], true);
  return state.activity !== null;
}

/** Mark objects with boxes and clicks on the shown frame, also while an object is being segmented. */
function listenToPointer() {
  view.addEventListener('pointerdown', (event) => {
    if (event.button || !event.isPrimary || (state.video && !isInVideo(event))) return;
    if (state.activity?.name !== 'segment' && isBusy()) return;
    if (!state.video || !state.model?.backend) {
      const needed = state.loading ? WAIT_FOR_MODEL : 'Load the model again first';
      showStatus(state.video ? needed : 'Open a video first', true);
      return;
    }
    view.setPointerCapture(event.pointerId);
    const point = locate(event);
    update({ drag: [...point, ...point] });
  });
  view.addEventListener('pointermove', (event) => {
    if (!state.drag || !event.isPrimary) return;
    update({ drag: [state.drag[0], state.drag[1], ...locate(event)] });
  });
  view.addEventListener('pointercancel', () => update({ drag: null }));
  view.addEventListener('pointerup', (event) => {
    if (!state.drag || !event.isPrimary) return;
    const [x0, y0] = state.drag;
    const [x1, y1] = locate(event);
    update({ drag: null });
    const [width, height] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
    /** @type {[number, number]} */
    const point = [x0 - 0.5, y0 - 0.5]; // prompts count from the center of the first pixel
    const isNegative = event.shiftKey || negativeClicks.checked;
    if (Math.min(width, height) >= MIN_DRAG) mark({ box: [Math.min(x0, x1), Math.min(y0, y1), width, height] });
    else if (Math.max(width, height) < MIN_DRAG) mark(isNegative ? { negative: [point] } : { positive: [point] });
    else showStatus('The box is too narrow: drag diagonally across the object, or click on it', true);
  });
}

function listenToControls() {
  slider.addEventListener('input', () => {
    if (state.activity?.name === 'play') cancel();
    seek(Number(slider.value));
  });
  /** @type {[string, () => void][]} */
  const actions = [
    ['play', play], ['reload', reload], ['track', track], ['cancel', cancel], ['undo', undo], ['clear', clear],
    ['masks', saveMasks], ['overlay', saveOverlay], ['matte', saveMatte],
    ['add', () => update({ objectCount: state.objectCount + 1, objectId: state.objectCount + 1 })],
  ];
  for (const [id, action] of actions) element(id).addEventListener('click', action);
  size.addEventListener('change', reload);
  compute.addEventListener('change', reload);
}

/** Open videos that are chosen or dropped; ask before the page is left with masks that were not downloaded. */
function listenToFiles() {
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
    if (!state.store.isContainedIn(state.downloaded)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    if (isBusy()) return;
    const dropped = event.dataTransfer?.files[0];
    if (dropped) openVideo(dropped, dropped.name);
    else showStatus('Drop a video file', true);
  });
}

function reload() {
  showStatus('');
  loadModel();
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
  listenToPointer();
  listenToControls();
  listenToFiles();
  update({});
  // onnxruntime's smaller and faster WebGPU build needs JavaScript promise integration
  const gpu = 'Suspending' in WebAssembly && /** @type {any} */ (navigator).gpu;
  if (gpu && (await gpu.requestAdapter().catch(() => null))) {
    compute.add(new Option('GPU (WebGPU)', 'gpu'));
    compute.value = 'gpu';
  }
  const sample = await fetch('sample.webm').then((answer) => (answer.ok ? answer.blob() : null)).catch(() => null);
  if (!state.video && !state.activity) { // else the user has opened a video meanwhile
    if (sample) await openVideo(sample, 'sample.webm');
    else showStatus('sample.webm: cannot be fetched; open your own video', true);
  }
  await loadModel();
}

main();
