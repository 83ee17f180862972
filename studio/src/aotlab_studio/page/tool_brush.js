// @ts-check
/** Brush and eraser. */

import { pairs } from './connection.js';

/** @typedef {import('./toolbox.js').Tool} Tool */
/** @typedef {import('./toolbox.js').Toolbox} Toolbox */

/** @type {Pick<Tool, 'round' | 'press' | 'move' | 'release'>} */
const round = {
  round: true,
  press: () => {},
  move: (box, point) => box.follow(point),
  release: (box) => box.finish('paint', {
    points: pairs(box.points), radius: box.radius, erase: Boolean(box.tool.erases || box.minus),
  }),
};

/** @type {Tool} */
export const brush = { name: 'brush', key: 'B', icon: '●', help: 'Brush: draw on the object. Wheel or [ ] sets the size.', ...round };

/** @type {Tool} */
export const eraser = { name: 'eraser', key: 'E', icon: '○', help: 'Eraser: remove pixels of the object.', erases: true, ...round };
