/** Images and masks of frames, fetched on demand, with recent images cached. */

import { fetchOrThrow } from './connection.js';

const MAX_CACHE_BYTES = 192 * 2 ** 20; // largest size of the cached images in bytes
const MIN_CACHED_IMAGES = 8; // smallest number of cached images, whatever their size
const THUMBNAIL_PIXELS = 96; // width of a thumbnail in pixels

/** @typedef {{height: number, width: number, ids: Uint16Array, presentIds: Set<number>}} Labels */

/** Decode the run lengths sent by the server: height, width and n (uint32), n lengths (uint32), n ids (uint16). */
function decodeRuns(/** @type {ArrayBuffer} */ buffer) {
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
  return { height, width, ids, presentIds: new Set(values) };
}

export class FrameCache {
  video = ''; // id of the video, in each address, as browsers cache images by address
  revision = 0; // of all masks
  revisions = /** @type {Map<number, number>} */ (new Map()); // of frames that changed since then
  images = /** @type {Map<string, Promise<ImageBitmap>>} */ (new Map()); // by address

  /** @param {number} index @returns {Promise<ImageBitmap>} */
  getImage(index) {
    const address = `frame/${index}?video=${this.video}`;
    const cached = this.images.get(address);
    const image = cached ?? fetchImage(address);
    this.images.delete(address); // the last one is the most recently used
    this.images.set(address, image);
    const forget = () => this.images.get(address) === image && this.images.delete(address);
    if (!cached) image.then((bitmap) => this.evict(bitmap), forget);
    return image;
  }

  /** Evict the least recently used images. @param {ImageBitmap} image one of them; all have its size */
  evict({ width, height }) {
    const maxCount = Math.max(MIN_CACHED_IMAGES, Math.floor(MAX_CACHE_BYTES / (4 * width * height)));
    // not closed: it may be the image that shows or is about to
    for (const address of this.images.keys()) if (this.images.size > maxCount) this.images.delete(address);
  }

  /** Set the revision of all frames after masks or colors changed. @param {number} revision */
  setRevision(revision) {
    this.revision = revision;
    for (const [frame, newest] of this.revisions) if (newest <= revision) this.revisions.delete(frame);
  }

  /** Return the revision of a frame's masks; browsers cache them by it. @param {number} index */
  getRevision(index) {
    return this.revisions.get(index) ?? this.revision;
  }

  /** Return the address of a small image of a frame with its masks. @param {number} index */
  getThumbnailAddress(index) {
    return `frame/${index}?video=${this.video}&width=${THUMBNAIL_PIXELS}&masks=1&revision=${this.getRevision(index)}`;
  }

  /** @param {number} index @param {AbortSignal} [signal] @returns {Promise<Labels>} kept by the browser */
  async fetchLabels(index, signal) {
    const address = `labels/${index}?video=${this.video}&masks=${this.getRevision(index)}`;
    return decodeRuns(await (await fetchOrThrow(address, { signal })).arrayBuffer());
  }
}

export async function fetchImage(/** @type {string} */ address) {
  return createImageBitmap(await (await fetchOrThrow(address)).blob());
}

export const frames = new FrameCache();
