// @ts-check
/** Images and masks of frames, fetched on demand, with recent images cached; pixels of objects. */

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
    const maxCount = Math.max(MIN_CACHED_IMAGES, Math.floor(MAX_CACHE_BYTES / (4 * width * height)));
    for (const index of [...this.images.keys()].slice(0, Math.max(0, this.images.size - maxCount))) {
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
