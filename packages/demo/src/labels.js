/** Labels of a video: compressed storage, colors, PNG files. */

import { encode } from 'fast-png';
import { deflateSync, inflateSync } from 'fflate';

/** Color of each object id from 1 on. */
export const COLORS = [
  [230, 60, 50], [40, 150, 240], [60, 180, 75], [245, 190, 30], [160, 80, 220],
  [30, 200, 200], [250, 120, 30], [240, 80, 180], [150, 200, 60], [140, 100, 70],
];

/** Labels of frames, deflated: a few kB each. */
export class LabelStore {
  /** @param {Map<number, {data: Uint8Array, ids: Set<number>}>} [frames] */
  constructor(frames) {
    this.frames = new Map(frames);
  }

  /** @param {number} index @param {Uint8Array} labels */
  set(index, labels) {
    this.frames.set(index, { data: deflateSync(labels, { level: 1 }), ids: new Set(labels) });
  }

  /** @param {number} index @returns {Uint8Array | null} */
  get(index) {
    const stored = this.frames.get(index);
    return stored ? inflateSync(stored.data) : null;
  }

  /** Whether a frame has a pixel of an object. @param {number} index @param {number} id */
  hasObject(index, id) {
    return this.frames.get(index)?.ids.has(id) ?? false;
  }

  /** Whether another store holds the same labels of all its frames. @param {LabelStore} other */
  isContainedIn(other) {
    return [...this.frames].every(([index, labels]) => other.frames.get(index) === labels);
  }
}

/**
 * Blend the colors of labels over a frame, outlines at full strength.
 * @param {ImageData} image
 * @param {Uint8Array | null} labels
 * @returns {ImageData}
 */
export function drawOverlay(image, labels) {
  const { width, height } = image;
  const data = new Uint8ClampedArray(image.data);
  labels?.forEach((id, pixel) => {
    if (!id) return;
    const edge = !(pixel % width) || labels[pixel - 1] !== id || !((pixel + 1) % width) || labels[pixel + 1] !== id
      || labels[pixel - width] !== id || labels[pixel + width] !== id;
    const weight = edge ? 1 : 0.45;
    for (let color = 0; color < 3; color += 1) {
      data[4 * pixel + color] += weight * (COLORS[id - 1][color] - data[4 * pixel + color]);
    }
  });
  return new ImageData(data, width, height);
}

/**
 * Make everything but objects transparent.
 * @param {ImageData} image
 * @param {Uint8Array | null} labels
 * @returns {ImageData}
 */
export function cutOut(image, labels) {
  const data = new Uint8ClampedArray(image.data);
  for (let pixel = 0; pixel < data.length / 4; pixel += 1) if (!labels?.[pixel]) data[4 * pixel + 3] = 0;
  return new ImageData(data, image.width, image.height);
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
  const data = new Uint8Array(pngHeight * pngWidth);
  for (let y = 0; y < pngHeight; y += 1) {
    const row = (content.y + Math.floor(((y + 0.5) * content.height) / pngHeight)) * width + content.x;
    for (let x = 0; x < pngWidth; x += 1) {
      data[y * pngWidth + x] = labels[row + Math.floor(((x + 0.5) * content.width) / pngWidth)];
    }
  }
  return encode({ width: pngWidth, height: pngHeight, data, channels: 1, palette: [[0, 0, 0], ...COLORS] });
}
