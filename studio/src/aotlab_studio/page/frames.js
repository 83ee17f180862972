/** Images and masks of frames, fetched on demand, with recent images cached. */

import { fetchOrThrow } from './connection.js';

/** Largest size of the cached images in bytes. */
const MAX_CACHE_BYTES = 192 * 2 ** 20;
/** Smallest number of cached images and masks, whatever their size. */
const MIN_CACHED_FRAMES = 8;
/** Width of a thumbnail in pixels. */
const THUMBNAIL_PIXELS = 96;

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
    /** Revision of all masks; `revisions`: of single frames changed since. */
    this.revision = 0;
    /** @type {Map<number, number>} */
    this.revisions = new Map();
    /** @type {Map<number, Promise<ImageBitmap>>} */
    this.images = new Map();
    /** Masks of the last frames, by frame and revision. @type {Map<string, Promise<Labels>>} */
    this.labels = new Map();
  }

  /** Drop the cached images of another video. @param {string} video */
  setVideo(video) {
    if (video !== this.video) for (const cache of [this.images, this.labels]) cache.clear();
    this.video = video;
  }

  /** Return the address of a frame. @param {number} index */
  getAddress(index) {
    return `frame/${index}?video=${this.video}`;
  }

  /** @param {number} index */
  getImage(index) {
    return this.getOrFetch(this.images, index, () => fetchImage(this.getAddress(index)));
  }

  /** @param {number} index */
  getLabels(index) {
    return this.getOrFetch(this.labels, `${index} ${this.getRevision(index)}`, () => fetchLabels(index));
  }

  /**
   * @template {string | number} K
   * @template {{width: number, height: number}} V
   * @param {Map<K, Promise<V>>} cache
   * @param {K} key
   * @param {() => Promise<V>} fetchValue
   */
  getOrFetch(cache, key, fetchValue) {
    const cached = cache.get(key);
    const value = cached ?? fetchValue();
    cache.delete(key); // the last one is the most recently used
    cache.set(key, value);
    const forget = () => cache.get(key) === value && cache.delete(key);
    if (!cached) value.then((frame) => this.evict(cache, frame), forget);
    return value;
  }

  /**
   * Evict the least recently used images or masks.
   * @param {Map<any, unknown>} cache
   * @param {{width: number, height: number}} frame any of them; all have the same size
   */
  evict(cache, { width, height }) {
    const maxCount = Math.max(MIN_CACHED_FRAMES, Math.floor(MAX_CACHE_BYTES / (4 * width * height)));
    // images are not closed: one of them may be shown, or about to be
    for (const key of cache.keys()) if (cache.size > maxCount) cache.delete(key);
  }

  /** Return the revision of the masks of a frame. @param {number} index */
  getRevision(index) {
    return this.revisions.get(index) ?? this.revision;
  }

  /** Note that masks of all frames, or their colors, changed. @param {number} revision */
  setRevision(revision) {
    this.revision = revision;
    for (const [frame, own] of this.revisions) if (own <= revision) this.revisions.delete(frame);
  }

  /** Return the address of a small image of a frame with its masks. @param {number} index */
  getThumbnailAddress(index) {
    return `${this.getAddress(index)}&width=${THUMBNAIL_PIXELS}&masks=${this.getRevision(index)}`;
  }

  /** Fetch the nearest available image for a frame that is slow to decode. @param {number} index */
  fetchNearImage(index) {
    return fetchImage(`frame/${index}?near=1`);
  }
}

/** @param {number} index @returns {Promise<Labels>} */
async function fetchLabels(index) {
  return decodeRuns(await (await fetchOrThrow(`labels/${index}`)).arrayBuffer());
}

/** @param {string} address */
async function fetchImage(address) {
  return createImageBitmap(await (await fetchOrThrow(address)).blob());
}
