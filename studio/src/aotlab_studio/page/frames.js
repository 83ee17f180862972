// @ts-check
/** Images and masks of frames, fetched on demand; recent images are cached. */

/** Largest size of the cached images in bytes. */
const BYTES = 192 * 2 ** 20;

/** Smallest number of cached images, whatever their size. */
const LEAST = 8;

/** @typedef {{height: number, width: number, ids: Uint16Array}} Labels */

/**
 * Decode the run lengths sent by the server: height, width and n (uint32), n lengths (uint32), n ids (uint16).
 * @param {ArrayBuffer} buffer
 * @returns {Labels}
 */
export function decodeRuns(buffer) {
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

export class Frames {
  constructor() {
    /** @type {Map<number, Promise<ImageBitmap>>} */
    this.images = new Map();
  }

  /**
   * @param {number} index
   * @returns {Promise<ImageBitmap>}
   */
  image(index) {
    let found = this.images.get(index);
    if (!found) {
      found = fetchImage(`frame/${index}`);
      found.catch(() => this.images.delete(index));
      found.then((image) => this.makeRoom(image), () => {});
    }
    this.images.delete(index);
    this.images.set(index, found);
    return found;
  }

  /**
   * Evict the least recently used images.
   * @param {ImageBitmap} image any of them; all have the same size
   */
  makeRoom({ width, height }) {
    const most = Math.max(LEAST, Math.floor(BYTES / (4 * width * height)));
    for (const index of [...this.images.keys()].slice(0, Math.max(0, this.images.size - most))) {
      this.images.get(index)?.then((bitmap) => bitmap.close(), () => {});
      this.images.delete(index);
    }
  }

  /**
   * Fetch the nearest image at hand for a frame that is slow to decode.
   * @param {number} index
   */
  nearImage(index) {
    return fetchImage(`frame/${index}?near=1`);
  }

  /**
   * @param {number} index
   * @returns {Promise<Labels>}
   */
  async labels(index) {
    return decodeRuns(await (await fetched(`labels/${index}`)).arrayBuffer());
  }
}

/** @param {string} address */
async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

/** @param {string} address */
async function fetchImage(address) {
  return createImageBitmap(await (await fetched(address)).blob());
}
