/** Activities of the page, one at a time: opening, playing, segmenting, tracking. */

import { LabelStore } from './labels.js';
import { Model } from './model.js';
import { CANCELED, remember, state, takeSnapshot } from './state.js';
import { Video } from './video.js';
import { compute, element, progress, show, showProgress, showStatus, size, update } from './view.js';
import { WAIT_FOR_MODEL, describeCount, describeError } from './words.js';

/** @typedef {import('../tracker/prompts.js').Prompt} Prompt */
/** @typedef {import('./state.js').Activity} Activity */

/** Cancels the decoding of the frame that the slider chose. */
let seeking = new AbortController();

/**
 * Run an activity and show its failure; it ends the running one.
 * @param {Activity} name
 * @param {(signal: AbortSignal) => Promise<string>} run throws when it is aborted, returns the status
 */
export async function runActivity(name, run) {
  state.activity?.controller.abort();
  seeking.abort();
  const activity = { name, controller: new AbortController() };
  const { signal } = activity.controller;
  update({ activity });
  try {
    const status = await run(signal);
    if (!signal.aborted) showStatus(status);
  } catch (error) {
    if (!signal.aborted) showStatus(describeError(error), true);
  }
  if (state.activity === activity) update({ activity: null });
}

/** End the running activity at once. */
export function cancel() {
  if (!state.activity) return;
  state.activity.controller.abort();
  showStatus(CANCELED[state.activity.name] ?? '');
  update({ activity: null });
}

/** Return the name of the model for the chosen size and the shape of the video. */
function chooseModel() {
  return state.video?.isPortrait ? `${size.value}-portrait` : size.value;
}

/** Load another model if the video needs one of another shape. */
function loadFittingModel() {
  if (state.model && state.model.name !== chooseModel()) loadModel(false);
}

/** Load the chosen model. @param {boolean} [isFirstStep] whether to show what to do next */
export async function loadModel(isFirstStep = true) {
  state.model?.close(new Error('Another model is loaded'));
  const [name, gpu] = [chooseModel(), compute.value === 'gpu'];
  const model = new Model(name, showProgress, () => update({}));
  progress.value = 0;
  update({ model, loading: true });
  let problem = '';
  try {
    model.backend = await model.call('load', new URL('.', location.href).href, name, gpu);
  } catch (error) {
    problem = describeError(error);
  }
  if (state.model !== model) return;
  update({ loading: false });
  element('speed').textContent = model.backend;
  const { textContent: status, classList } = element('status');
  const isReplaceable = status === WAIT_FOR_MODEL || (isFirstStep && !classList.contains('error'));
  if (problem) {
    const remedy = gpu ? 'load it again, or compute on the CPU' : 'load it again';
    showStatus(`Model ${name}: cannot be loaded (${problem}); ${remedy}`, true);
  } else if (!state.activity && isReplaceable) {
    showStatus('Ready: drag a box around an object, or click on it');
  }
}

/** @param {Blob} file @param {string} name */
export async function openVideo(file, name) {
  await runActivity('open', async (signal) => {
    showStatus(`Opening ${name}…`);
    const video = await Video.open(file, name);
    signal.throwIfAborted();
    const frames = video.timestamps.length;
    if (!frames) throw new Error(`${name}: contains no frames; it may be truncated`);
    for await (const image of video.read(0, 1)) {
      signal.throwIfAborted();
      if (state.video) remember();
      update({ video, position: 0, image, ...noObjects() });
    }
    loadFittingModel();
    return `${name}: ${video.truncated ? 'only the first ' : ''}${describeCount(frames, 'frame')}`;
  });
}

function noObjects() {
  return { store: new LabelStore(), prompts: new Map(), objectId: 1, objectCount: 1 };
}

/** Remove all objects. */
export function clear() {
  remember();
  update(noObjects());
}

export function undo() {
  seeking.abort();
  update({ ...state.history.at(-1), history: state.history.slice(0, -1) });
  showStatus('Undone');
  loadFittingModel();
}

/** Decode and show a frame; the last call wins. @param {number} index */
export async function seek(index) {
  if (!state.video) return;
  seeking.abort();
  seeking = new AbortController();
  const { signal } = seeking;
  try {
    for await (const image of state.video.read(index, index + 1)) if (!signal.aborted) show(index, image);
  } catch (error) {
    if (!signal.aborted) showStatus(describeError(error), true);
  }
}

/** Prompts wait for those before them. */
let lastMark = Promise.resolve();

/** Segment the chosen object with one more prompt, after earlier ones. @param {Partial<Prompt>} added */
export function mark(added) {
  const { objectId } = state;
  lastMark = lastMark.then(() => segment(objectId, added));
}

/** @param {number} objectId @param {Partial<Prompt>} added */
async function segment(objectId, { positive = [], negative = [], box = null }) {
  const { model, position, image, prompts, store } = state;
  if (!model?.backend || !state.video || state.activity) return;
  const labels = store.get(position) ?? new Uint8Array(image.width * image.height);
  const objectMask = labels.includes(objectId) ? labels.map((label) => Number(label === objectId)) : null;
  const unmarked = { positive: [], negative: [], box, mask: box ? null : objectMask }; // a box marks the object again
  const old = box ? unmarked : prompts.get(objectId) ?? unmarked;
  const prompt = { ...old, positive: [...old.positive, ...positive], negative: [...old.negative, ...negative] };
  if (!prompt.positive.length && !prompt.box && !prompt.mask) {
    showStatus('Mark the object first, then what does not belong to it', true);
    return;
  }
  const snapshot = takeSnapshot();
  update({ prompts: new Map(prompts).set(objectId, prompt) });
  await runActivity('segment', async (signal) => {
    showStatus('Segmenting…');
    const others = labels.map((label) => (label === objectId ? 0 : label));
    try {
      const mask = await model.call('segment', image, prompt, others);
      signal.throwIfAborted();
      if (!mask.includes(1)) throw new Error(`Object ${objectId}: no pixel found there; try another box or click`);
      store.set(position, others.map((label, pixel) => (mask[pixel] ? objectId : label)));
    } catch (error) {
      update({ prompts });
      throw error;
    }
    remember(snapshot);
    return `Object ${objectId} marked: add clicks to correct it, mark another object, or track`;
  });
}

/** Track the objects of this frame; others keep their masks on later frames. */
export async function track() {
  const { model, video, store, position: first, image } = state;
  const labels = store.get(first);
  if (!model?.backend || !video || !labels) return;
  const count = video.timestamps.length - 1 - first;
  if (!count) {
    showStatus('No frame follows this one: mark an object on an earlier frame to track it', true);
    return;
  }
  await runActivity('track', async (signal) => {
    progress.value = 0;
    showStatus('Tracking…');
    await model.call('start', image, labels);
    signal.throwIfAborted();
    const [begin, trackedIds] = [performance.now(), new Set(labels)];
    let done = 0;
    for await (const frame of video.read(first + 1)) {
      signal.throwIfAborted();
      /** @type {Uint8Array} */
      const found = await model.call('step', frame);
      signal.throwIfAborted();
      if (!done) remember();
      done += 1;
      const earlier = store.get(first + done) ?? found;
      store.set(first + done, found.map((id, pixel) => id || (trackedIds.has(earlier[pixel]) ? 0 : earlier[pixel])));
      show(first + done, frame);
      progress.value = done / count;
      const speed = (done * 1000) / (performance.now() - begin);
      element('speed').textContent = `${speed.toFixed(1)} frames/s, ${model.backend}`;
    }
    return `Tracked ${describeCount(done, 'frame')}: scrub, correct, download or undo`;
  });
}

export async function play() {
  const { activity, video } = state;
  if (activity?.name === 'play') cancel();
  if (activity || !video) return;
  await runActivity('play', async (signal) => {
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
