// @ts-check
/** Pictures and masks of frames, fetched when they are needed; a few are kept. */

/** What decoded pictures may take. */
const BYTES = 192 * 2 ** 20;

/** Pictures that are kept, however large they are. */
const LEAST = 8;

/** @typedef {{height: number, width: number, ids: Uint16Array}} Labels */

/**
 * Run lengths as the server sends them: height, width and n (uint32), n lengths (uint32), n ids (uint16).
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
    this.pictures = new Map();
  }

  /**
   * @param {number} index
   * @returns {Promise<ImageBitmap>}
   */
  picture(index) {
    let found = this.pictures.get(index);
    if (!found) {
      found = fetchPicture(`frame/${index}`);
      found.catch(() => this.pictures.delete(index));
      found.then((picture) => this.makeRoom(picture), () => {});
    }
    this.pictures.delete(index);
    this.pictures.set(index, found);
    return found;
  }

  /**
   * Drop the pictures that were not asked for the longest.
   * @param {ImageBitmap} picture one of them; all are of its size
   */
  makeRoom({ width, height }) {
    const most = Math.max(LEAST, Math.floor(BYTES / (4 * width * height)));
    for (const index of [...this.pictures.keys()].slice(0, Math.max(0, this.pictures.size - most))) {
      this.pictures.get(index)?.then((bitmap) => bitmap.close(), () => {});
      this.pictures.delete(index);
    }
  }

  /**
   * A picture near a frame that takes long, at once.
   * @param {number} index
   */
  nearPicture(index) {
    return fetchPicture(`frame/${index}?near=1`);
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
async function fetchPicture(address) {
  return createImageBitmap(await (await fetched(address)).blob());
}
