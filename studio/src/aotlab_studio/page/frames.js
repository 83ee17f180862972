// @ts-check
/** Images and masks of frames, fetched on demand, with recent images cached; the shown frame: seeking, stepping, playing. */

import { element, elements, readNumber, setIcon } from './dom.js';

/** Largest size of the cached images in bytes. */
const MAX_CACHE_BYTES = 192 * 2 ** 20;

/** Smallest number of cached images, whatever their size. */
const MIN_CACHED_IMAGES = 8;

/** @typedef {{height: number, width: number, ids: Uint16Array}} Labels */

/**
 * Decode the run lengths sent by the server: height, width and n (uint32), n lengths (uint32), n ids (uint16).
 * @param {ArrayBuffer} buffer
 * @returns {Labels}
 */
function decodeRuns(buffer) {
  const [height, width, count] = new Uint32Array(buffer, 0, 3);
  const lengths = new Uint32Array(buffer, 12, count);
  const values = new Uint16Array(buffer, 12 + 4 * count, count);
  const ids = new Uint16Array(height * width);
  let start = 0;
  for (let run = 0; run < count; run += 1) {
    const end = start + lengths[run];
    if (values[run]) ids.fill(values[run], start, end);
    start = end;
  }
  return { height, width, ids };
}

export class FrameCache {
  constructor() {
    /** Id of the video; addresses of frames hold it, as browsers cache images by address. */
    this.video = '';
    /** @type {Map<number, Promise<ImageBitmap>>} */
    this.images = new Map();
  }

  /** Drop the cached images of another video. @param {string} video */
  setVideo(video) {
    if (video !== this.video) this.images.clear();
    this.video = video;
  }

  /** Return the address of a frame. @param {number} index @param {number} [width] in pixels */
  address(index, width) {
    return `frame/${index}?video=${this.video}${width ? `&width=${width}` : ''}`;
  }

  /** @param {number} index @returns {Promise<ImageBitmap>} */
  image(index) {
    let found = this.images.get(index);
    if (!found) {
      found = fetchImage(this.address(index));
      found.catch(() => this.images.delete(index));
      found.then((image) => this.evict(image), () => {});
    }
    this.images.delete(index);
    this.images.set(index, found);
    return found;
  }

  /** Evict the least recently used images. @param {ImageBitmap} image any of them; all have the same size */
  evict({ width, height }) {
    const most = Math.max(MIN_CACHED_IMAGES, Math.floor(MAX_CACHE_BYTES / (4 * width * height)));
    for (const index of [...this.images.keys()].slice(0, Math.max(0, this.images.size - most))) {
      this.images.get(index)?.then((bitmap) => bitmap.close(), () => {});
      this.images.delete(index);
    }
  }

  /** Fetch a small image of a frame. @param {number} index @param {number} width in pixels */
  thumbnail(index, width) {
    return fetchImage(this.address(index, width));
  }

  /** Fetch the nearest image at hand for a frame that is slow to decode. @param {number} index */
  nearImage(index) {
    return fetchImage(`frame/${index}?near=1`);
  }

  /** @param {number} index @returns {Promise<Labels>} */
  async labels(index) {
    return decodeRuns(await (await fetchOk(`labels/${index}`)).arrayBuffer());
  }
}

/** @param {string} address */
async function fetchOk(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

/** @param {string} address */
async function fetchImage(address) {
  return createImageBitmap(await (await fetchOk(address)).blob());
}

/** @typedef {import('./viewer.js').Point} Point */

/** Share of the image's shorter edge, and of the object's own extent, within which a click belongs to an object. */
const CLICK_REACH = { edge: 0.06, extent: 0.25 };

/** Return the object id at a point, 0 for background. @param {Labels | null} labels @param {Point} point */
export function idAt(labels, { x, y }) {
  if (!labels || x < 0 || y < 0 || x >= labels.width || y >= labels.height) return 0;
  return labels.ids[Math.floor(y) * labels.width + Math.floor(x)];
}

/** Return whether an object has a mask. @param {Labels | null} labels @param {number} id */
export const hasMask = (labels, id) => Boolean(labels && id && labels.ids.includes(id));

/**
 * Count the pixels of an object, and those inside a box.
 * @param {Labels | null} labels
 * @param {number} id
 * @param {number[]} [box] x, y, width, height
 */
export function countPixels(labels, id, box = [0, 0, 0, 0]) {
  const found = { all: 0, inside: 0 };
  if (!labels || !id) return found;
  const [left, top, right, bottom] = [box[0], box[1], box[0] + box[2], box[1] + box[3]];
  for (let y = 0, index = 0; y < labels.height; y += 1) {
    for (let x = 0; x < labels.width; x += 1, index += 1) {
      if (labels.ids[index] !== id) continue;
      found.all += 1;
      if (x >= left && x < right && y >= top && y < bottom) found.inside += 1;
    }
  }
  return found;
}

/**
 * Return whether a point is too far from an object's mask to belong to it.
 * @param {Labels} labels
 * @param {number} id
 * @param {Point} point
 */
export function isFarFrom(labels, id, point) {
  const { width, height, ids } = labels;
  const reach = Math.max(2, CLICK_REACH.edge * Math.min(width, height), CLICK_REACH.extent * Math.sqrt(countPixels(labels, id).all));
  const [top, bottom] = [Math.max(0, Math.floor(point.y - reach)), Math.min(height, Math.ceil(point.y + reach))];
  const [left, right] = [Math.max(0, Math.floor(point.x - reach)), Math.min(width, Math.ceil(point.x + reach))];
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      if (ids[y * width + x] === id && Math.hypot(x + 0.5 - point.x, y + 0.5 - point.y) <= reach) return false;
    }
  }
  return true;
}

/** Milliseconds before a nearby frame is shown while the requested one is decoded. */
const NEAR_IMAGE_DELAY = 60;

const PREFETCH_FRAMES = 6;

export class Playback {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    this.count = 1;
    this.rate = 25;
    /** Frame that shows, and the revision of all masks when its own were requested. */
    this.frame = 0;
    this.revision = 0;
    /** What is to show; `byPerson`: nothing is changed until it shows. */
    this.wanted = { frame: 0, revision: 0, byPerson: false };
    /** Load of the wanted frame; aborted: the frame will not show. @type {AbortController | null} */
    this.loading = null;
    /** The run of the playback; null: stopped. @type {object | null} */
    this.playing = null;
    /** Ends when the masks of the last refresh show. @type {Promise<void>} */
    this.refreshed = Promise.resolve();
    const field = element('frame');
    const seek = () => this.seek(readNumber('frame') ?? this.frame);
    field.onchange = seek;
    // the typed number may be the one that the field showed during tracking, which is no change
    field.onkeydown = (event) => { if (event.key === 'Enter') seek(); };
    field.onblur = () => this.showNumber();
  }

  /** Whether the frame that shows can be changed. */
  get ready() {
    return Boolean(this.playing) || (!this.wanted.byPerson && !this.app.viewer.near);
  }

  /** @param {import('./protocol.js').Description} description */
  setVideo({ frames, rate, revision }) {
    this.count = frames;
    this.rate = rate;
    this.wanted.revision = revision;
    this.revision = -1; // of an earlier run of the program, perhaps
    this.app.timeline.setCount(frames);
    for (const field of elements('frame', 'first', 'last')) field.max = String(frames - 1);
  }

  /** Show a frame requested by the person, and stop following the tracking. @param {number} frame */
  seek(frame) {
    this.app.tracking.stopFollowing();
    this.wanted.byPerson = true;
    return this.goTo(frame);
  }

  /** Show a frame; of several requests in a row only the last counts. @param {number} frame */
  async goTo(frame) {
    const { app, wanted } = this;
    wanted.frame = Math.min(this.count - 1, Math.max(0, Math.round(frame) || 0));
    if (wanted.frame !== this.frame) app.toolbox.cancel();
    if (this.loading) return;
    try {
      do {
        this.loading = new AbortController();
        await this.load(wanted, this.loading.signal);
      } while (wanted.frame !== this.frame || wanted.revision > this.revision);
    } catch (error) {
      wanted.frame = this.frame;
      this.stop();
      app.viewer.stay();
      app.inputs.clear();
      app.showError(error);
    }
    wanted.byPerson = false;
    this.loading = null;
    this.refresh(wanted.revision); // does nothing, except after an error
    app.inputs.drain();
  }

  /** Load a frame and its masks, and show them. @param {{frame: number, revision: number}} wanted @param {AbortSignal} signal */
  async load({ frame, revision }, signal) {
    const { frames, viewer } = this.app;
    const answer = Promise.all([frames.image(frame), frames.labels(frame)]);
    let arrived = false;
    answer.finally(() => { arrived = true; }).catch(() => {});
    if (this.wanted.byPerson || !viewer.image) {
      setTimeout(() => {
        if (!arrived) frames.nearImage(frame).then((near) => {
          if (!arrived) viewer.showNear(near);
        }, () => {});
      }, NEAR_IMAGE_DELAY);
    }
    const [image, labels] = await answer;
    if (signal.aborted) return;
    this.frame = frame;
    this.revision = revision;
    viewer.show(image, labels);
    this.showNumber();
  }

  showNumber() {
    if (document.activeElement !== element('frame')) element('frame').value = String(this.frame);
    const seconds = this.frame / this.rate;
    element('time').textContent = `of ${this.count - 1} · ${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, '0')}`;
    this.app.timeline.setFrame(this.frame);
    this.app.review.showNote();
  }

  /** Refresh the masks of a frame that changed. @param {number} frame @param {number} revision of all masks */
  refreshFrame(frame, revision) {
    if (frame === this.wanted.frame) this.refresh(revision);
  }

  /** Fetch the masks of this frame again, unless those of this revision were requested. @param {number} revision */
  refresh(revision) {
    this.wanted.revision = Math.max(this.wanted.revision, revision);
    if (!this.loading && this.wanted.revision > this.revision) this.refreshed = this.fetchLabels();
    return this.refreshed;
  }

  /** Fetch and show masks, unless newer ones are requested meanwhile. */
  async fetchLabels() {
    const { frame, wanted: { revision } } = this;
    this.revision = revision;
    try {
      const labels = await this.app.frames.labels(frame);
      if (frame === this.frame && revision === this.revision) this.app.viewer.show(null, labels);
    } catch (error) {
      this.app.showError(error);
    }
  }

  /** @param {number} by */
  step(by) {
    return this.seek(this.wanted.frame + by);
  }

  /** Stay at the frame that shows, because the person draws on it, unless the person wants another one. */
  halt() {
    if (this.wanted.byPerson || !(this.playing || this.loading)) return;
    this.stop();
    this.wanted.frame = this.frame;
    this.loading?.abort();
  }

  stop() {
    this.setRun(null);
  }

  /** @param {object | null} run null: stop */
  setRun(run) {
    this.playing = run;
    setIcon(element('play'), run ? 'pause' : 'play');
    element('play').setAttribute('aria-label', run ? 'Stop' : 'Play');
  }

  /** Play, or stop. */
  async toggle() {
    const { app: { frames, tracking }, wanted } = this;
    const run = this.playing ? null : {};
    this.setRun(run);
    if (!run) return;
    tracking.stopFollowing();
    if (wanted.frame >= this.count - 1) await this.goTo(0);
    let due = performance.now();
    while (this.playing === run && wanted.frame < this.count - 1) {
      await this.goTo(wanted.frame + 1);
      const end = Math.min(this.count, wanted.frame + PREFETCH_FRAMES);
      for (let ahead = wanted.frame + 1; ahead < end; ahead += 1) frames.image(ahead).catch(() => {});
      due = Math.max(performance.now() - 500, due + 1000 / this.rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.playing === run) this.stop();
  }
}
