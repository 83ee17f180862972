/** Labels of a video: compressed storage, colours, PNG files. */

import { deflateSync, inflateSync, zlibSync } from 'fflate';

/** Colour of each object id from 1 on. */
export const COLOURS = [
  [230, 60, 50], [40, 150, 240], [60, 180, 75], [245, 190, 30], [160, 80, 220],
  [30, 200, 200], [250, 120, 30], [240, 80, 180], [150, 200, 60], [140, 100, 70],
];

/** Labels of frames, deflated: a few kB each. */
export class LabelStore {
  constructor() {
    /** @type {Map<number, Uint8Array>} */
    this.frames = new Map();
  }

  /** @param {number} index @param {Uint8Array} labels */
  set(index, labels) {
    this.frames.set(index, deflateSync(labels, { level: 1 }));
  }

  /** @param {number} index @returns {Uint8Array | null} */
  get(index) {
    const stored = this.frames.get(index);
    return stored ? inflateSync(stored) : null;
  }

  /** Drop the frames after an index. @param {number} last */
  dropAfter(last) {
    for (const index of this.frames.keys()) if (index > last) this.frames.delete(index);
  }
}

/**
 * Blend the colours of labels over a frame, outlines at full strength.
 * @param {ImageData} image
 * @param {Uint8Array | null} labels
 * @returns {ImageData}
 */
export function drawOverlay(image, labels) {
  const { width, height } = image;
  const data = new Uint8ClampedArray(image.data);
  labels?.forEach((id, pixel) => {
    if (!id) return;
    const edge = [pixel - 1, pixel + 1, pixel - width, pixel + width].some((near) => labels[near] !== id);
    const weight = edge ? 1 : 0.45;
    for (let colour = 0; colour < 3; colour += 1) {
      data[4 * pixel + colour] += weight * (COLOURS[id - 1][colour] - data[4 * pixel + colour]);
    }
  });
  return new ImageData(data, width, height);
}

/**
 * Encode the part of labels without bars as an indexed PNG of a video's size.
 * @param {Uint8Array} labels
 * @param {number} width of the labels
 * @param {{x: number, y: number, width: number, height: number}} content
 * @param {[number, number]} size width and height of the PNG in pixels
 * @returns {Uint8Array}
 */
export function encodePng(labels, width, content, [pngWidth, pngHeight]) {
  const rows = new Uint8Array(pngHeight * (pngWidth + 1)); // each begins with the filter's type, 0
  for (let y = 0; y < pngHeight; y += 1) {
    const row = (content.y + Math.floor(((y + 0.5) * content.height) / pngHeight)) * width + content.x;
    for (let x = 0; x < pngWidth; x += 1) {
      rows[y * (pngWidth + 1) + 1 + x] = labels[row + Math.floor(((x + 0.5) * content.width) / pngWidth)];
    }
  }
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, pngWidth);
  new DataView(header.buffer).setUint32(4, pngHeight);
  header.set([8, 3], 8); // 8 bits, indexed
  const palette = Uint8Array.from([[0, 0, 0], ...COLOURS].flat());
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const parts = [signature, ...[['IHDR', header], ['PLTE', palette], ['IDAT', zlibSync(rows)], ['IEND', new Uint8Array()]].map(
    ([name, data]) => makeChunk(/** @type {string} */ (name), /** @type {Uint8Array} */ (data)),
  )];
  const png = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    png.set(part, offset);
    offset += part.length;
  }
  return png;
}

/** @param {string} name @param {Uint8Array} data */
function makeChunk(name, data) {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(new TextEncoder().encode(name), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

/** @param {Uint8Array} data */
function crc32(data) {
  let crc = -1;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
