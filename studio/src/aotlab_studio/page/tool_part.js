// @ts-check
/** Parts of masks: give one to the chosen object, or make it a new object. */

import { pairs } from './connection.js';
import { idAt } from './labels.js';

/** @typedef {import('./toolbox.js').Tool} Tool */

/** @type {Tool} */
export const part = {
  name: 'part',
  key: 'O',
  icon: '⇄',
  help: 'Part: click on a part of another object; it becomes the chosen object’s. Shift chooses the object instead.',
  takesPoints: true,
  press: async (box, point) => {
    const { app } = box;
    const other = idAt(box.viewer.labels, point);
    if (box.minus && other) {
      app.choose(other);
      return;
    }
    const lost = await app.send('reassign', { point: pairs([point])[0] });
    if (lost !== undefined) app.history.offer(`A part of ${app.nameOf(lost)} is ${app.nameOf(app.chosen)}’s now`);
  },
};

/** @type {Tool} */
export const split = {
  name: 'split',
  key: 'G',
  icon: '✂',
  help: 'Split: click on a separate part of the object to make it a new object.',
  takesPoints: true,
  press: async (box, point) => {
    const id = await box.app.send('split_object', { point: pairs([point])[0] });
    if (id !== undefined) box.app.choose(id);
  },
};
