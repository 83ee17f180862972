// @ts-check
/** Pictures and masks of frames, fetched when they are needed; a few are kept. */

const KEPT = 48;

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
      found = fetch(`frame/${index}`).then(async (answer) => {
        if (!answer.ok) throw new Error(await answer.text());
        return createImageBitmap(await answer.blob());
      });
      found.catch(() => this.pictures.delete(index));
    }
    this.pictures.delete(index);
    this.pictures.set(index, found);
    if (this.pictures.size > KEPT) {
      const [oldest, picture] = [...this.pictures][0];
      this.pictures.delete(oldest);
      picture.then((bitmap) => bitmap.close(), () => {});
    }
    return found;
  }

  /**
   * @param {number} index
   * @returns {Promise<Labels>}
   */
  async labels(index) {
    const answer = await fetch(`labels/${index}`);
    if (!answer.ok) throw new Error(await answer.text());
    return decodeRuns(await answer.arrayBuffer());
  }
}
