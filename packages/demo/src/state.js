/** State of the page, and snapshots of it for Undo. */

import { LabelStore } from './labels.js';
import { LONG_EDGE, SHORT_EDGE } from './video.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('../tracker/prompts.js').Prompt} Prompt */
/** @typedef {import('./video.js').Video} Video */
/** @typedef {typeof initial} Snapshot */
/** @typedef {'open' | 'play' | 'segment' | 'track' | 'export'} Activity */

/** What to do first, by the running activity. @type {Record<Activity, string>} */
export const BUSY = {
  open: 'Wait until the video is open, or cancel',
  play: 'Pause the video first',
  segment: 'Wait until the object is segmented',
  track: 'Wait until tracking ends, or cancel',
  export: 'Wait until the download is ready, or cancel',
};

/** Messages of canceled activities; others cannot be canceled. @type {Partial<Record<Activity, string>>} */
export const CANCELED = { open: 'Opening canceled', track: 'Tracking canceled', export: 'Download canceled' };

/** Number of changes that can be undone. */
const MAX_UNDO = 20;

/** Values that Undo restores. */
const initial = {
  /** @type {Video | null} */
  video: null,
  store: new LabelStore(),
  /** Index of the shown frame. */
  position: 0,
  image: new ImageData(LONG_EDGE, SHORT_EDGE),
  /** Chosen object. */
  objectId: 1,
  objectCount: 1,
  /** Prompts on the shown frame by object id. @type {ReadonlyMap<number, Prompt>} */
  prompts: new Map(),
};

const values = {
  ...initial,
  /** @type {Model | null} */
  model: null,
  /** Whether the model is being loaded. */
  loading: false,
  /** State before each change, oldest first. @type {Snapshot[]} */
  history: [],
  /** Labels that were downloaded last. */
  downloaded: new LabelStore(),
  /** Box that is being drawn: start and end. @type {[number, number, number, number] | null} */
  drag: null,
  /** Running activity. @type {{name: Activity, controller: AbortController} | null} */
  activity: null,
};

/** Changed by `update`, `remember` and the methods of `store`. @type {Readonly<typeof values>} */
export const state = values;

/** @returns {Snapshot} */
export function takeSnapshot() {
  const { video, store, position, image, objectId, objectCount, prompts } = state;
  return { video, store: new LabelStore(store.frames), position, image, objectId, objectCount, prompts };
}

/** Save the state for Undo. */
export function remember(snapshot = takeSnapshot()) {
  values.history = [...state.history, snapshot].slice(-MAX_UNDO);
}
