// @ts-check
/** Lasso and polygon. */

import { pairs } from './connection.js';

/** @typedef {import('./toolbox.js').Tool} Tool */
/** @typedef {import('./toolbox.js').Toolbox} Toolbox */
/** @typedef {import('./viewer.js').Point} Point */

/** CSS pixels from the first corner within which a click closes the polygon. */
const NEAR = 8;

/** @type {Tool} */
export const lasso = {
  name: 'lasso',
  key: 'L',
  icon: '✎',
  help: 'Lasso: drag around the object. With Shift: remove.',
  press: () => {},
  move: (box, point) => box.follow(point),
  release: (box) => (box.points.length > 2 ? send(box) : box.cancel()),
  shape: ({ points }) => ({ points, closed: true, corners: false }),
};

/** @type {Tool} */
export const polygon = {
  name: 'polygon',
  key: 'P',
  icon: '⬠',
  help: 'Polygon: click corners; Enter, a double click or the first corner closes it; Backspace removes the last. With Shift: remove.',
  takesPoints: true,
  press: (box, point) => (closes(box, point) ? send(box) : box.points.push(point)),
  close: (box) => (box.points.length > 2 ? send(box) : undefined),
  shape: ({ points }) => ({ points, closed: false, corners: true }),
};

/** @param {Toolbox} box */
function send(box) {
  return box.finish('outline', { points: pairs(box.points), erase: box.minus });
}

/**
 * Return whether a corner closes the polygon.
 * @param {Toolbox} box
 * @param {Point} point
 */
function closes({ points, viewer }, point) {
  return points.length > 2 && Math.hypot(point.x - points[0].x, point.y - points[0].y) < viewer.css(NEAR);
}
