// @ts-check
/** Queries on the masks of a frame: the object at a point, areas, distances. */

/** @typedef {import('./viewer.js').Point} Point */
/** @typedef {import('./frames.js').Labels} Labels */

/** Share of the image's shorter edge, and of the object's own extent, within which a click belongs to an object. */
const NEAR = { edge: 0.06, extent: 0.25 };

/**
 * Return the object id at a point, 0 for background.
 * @param {Labels | null} labels
 * @param {Point} point
 */
export function idAt(labels, { x, y }) {
  if (!labels || x < 0 || y < 0 || x >= labels.width || y >= labels.height) return 0;
  return labels.ids[Math.floor(y) * labels.width + Math.floor(x)];
}

/**
 * Count the pixels of an object, and those inside a box.
 * @param {Labels | null} labels
 * @param {number} id
 * @param {number[]} [box] x, y, width, height
 */
export function areas(labels, id, box = [0, 0, 0, 0]) {
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
export function isAway(labels, id, point) {
  const { width, height, ids } = labels;
  const reach = Math.max(2, NEAR.edge * Math.min(width, height), NEAR.extent * Math.sqrt(areas(labels, id).all));
  const [top, bottom] = [Math.max(0, Math.floor(point.y - reach)), Math.min(height, Math.ceil(point.y + reach))];
  const [left, right] = [Math.max(0, Math.floor(point.x - reach)), Math.min(width, Math.ceil(point.x + reach))];
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      if (ids[y * width + x] === id && Math.hypot(x + 0.5 - point.x, y + 0.5 - point.y) <= reach) return false;
    }
  }
  return true;
}
