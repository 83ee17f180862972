// @ts-check
/** Tools: box and clicks, brush and eraser, lasso and polygon, parts of masks. */

import { pairs } from './connection.js';
import { toast } from './dom.js';
import { areas, idAt, isAway } from './frames.js';

/** @typedef {import('./toolbox.js').Tool} Tool */
/** @typedef {import('./toolbox.js').Toolbox} Toolbox */
/** @typedef {import('./viewer.js').Point} Point */

/** Smallest edge of a box in pixels of the frame; a smaller drag is a click. */
const SMALLEST = 2;

/** @type {Tool} */
export const box = {
  name: 'box',
  key: 'X',
  icon: '▢',
  help: 'Box: drag around an object. Click on what its mask lacks, right-click (or Shift) on what is too much; a click on another mask chooses it.',
  prompts: true,
  press: () => {},
  move: (toolbox, point) => { toolbox.points = [toolbox.points[0], point]; },
  release: (toolbox) => releaseBox(toolbox, toolbox.points[0], toolbox.points[toolbox.points.length - 1]),
  shape: ({ points: [a, b] }) => ({
    points: a && b ? [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }] : [], closed: true, corners: false,
  }),
};

/** @type {Tool} */
export const click = {
  name: 'click',
  key: 'C',
  icon: '✚',
  help: 'Clicks: on an object, or on what its mask lacks; with Shift or the right button: on what is too much.',
  prompts: true,
  takesPoints: true,
  press: (toolbox, point) => mark(toolbox, point),
};

/**
 * @param {Toolbox} toolbox
 * @param {Point} first
 * @param {Point} last
 */
async function releaseBox(toolbox, first, last) {
  const found = [Math.min(first.x, last.x), Math.min(first.y, last.y), Math.abs(first.x - last.x), Math.abs(first.y - last.y)];
  if (found[2] <= SMALLEST || found[3] <= SMALLEST) {
    toolbox.points = [];
    await mark(toolbox, first);
    return;
  }
  const mine = toolbox.points;
  toolbox.marks = [];
  const { all, inside } = areas(toolbox.viewer.labels, toolbox.app.chosen, found);
  await suggest(toolbox, { box: found }, inside < all / 2);
  if (toolbox.points === mine) toolbox.cancel();
}

/**
 * Handle a click: correct the chosen object's mask, choose another object, or make a mask.
 * @param {Toolbox} toolbox
 * @param {Point} point
 */
async function mark(toolbox, point) {
  const { app, viewer: { labels } } = toolbox;
  const positive = !toolbox.minus;
  const present = Boolean(labels && areas(labels, app.chosen).all);
  const other = idAt(labels, point);
  if (positive && other) {
    app.choose(other);
    app.say(`${app.nameOf(other)} is chosen.`);
    return;
  }
  if (!positive && !present) {
    app.say('Click on the object first: it has no mask on this frame to remove from.');
    return;
  }
  const away = Boolean(positive && present && labels && isAway(labels, app.chosen, point));
  const added = { point, positive };
  if (!away) toolbox.marks.push(added);
  toolbox.show();
  const points = { [positive ? 'positive' : 'negative']: pairs([point]) };
  const done = await suggest(toolbox, { ...points, refine: present && !away }, away);
  if (done === undefined) toolbox.marks = toolbox.marks.filter((one) => one !== added);
  toolbox.show();
}

/**
 * Request a mask. Away from the chosen object's mask it makes a new object, unless the person adds it to the chosen one.
 * @param {Toolbox} toolbox
 * @param {object} prompts
 * @param {boolean} away
 */
async function suggest({ app }, prompts, away) {
  const before = app.chosen;
  const frame = app.playback.frame;
  const id = await app.draw('suggest', { ...prompts, ...(away ? { object_id: null } : {}) });
  if (!away || id === undefined) return id;
  app.choose(id);
  const { step } = app.connection;
  toast(`${app.nameOf(id)} is new`, {
    [`More of ${app.nameOf(before)}`]: async () => {
      if ((await app.send('undo', { step })) === undefined) return;
      app.choose(before);
      await app.send('suggest', { ...prompts, frame, object_id: before, extend: true });
    },
    Undo: () => app.history.undo(step),
  });
  return id;
}

/** @type {Pick<Tool, 'round' | 'press' | 'move' | 'release'>} */
const round = {
  round: true,
  press: () => {},
  move: (toolbox, point) => toolbox.follow(point),
  release: (toolbox) => toolbox.finish('paint', {
    points: pairs(toolbox.points), radius: toolbox.radius, erase: Boolean(toolbox.tool.erases || toolbox.minus),
  }),
};

/** @type {Tool} */
export const brush = { name: 'brush', key: 'B', icon: '●', help: 'Brush: draw on the object. Wheel or [ ] sets the size.', ...round };

/** @type {Tool} */
export const eraser = { name: 'eraser', key: 'E', icon: '○', help: 'Eraser: remove pixels of the object.', erases: true, ...round };

/** CSS pixels from the first corner within which a click closes the polygon. */
const NEAR = 8;

/** @type {Tool} */
export const lasso = {
  name: 'lasso',
  key: 'L',
  icon: '✎',
  help: 'Lasso: drag around the object. With Shift: remove.',
  press: () => {},
  move: (toolbox, point) => toolbox.follow(point),
  release: (toolbox) => (toolbox.points.length > 2 ? send(toolbox) : toolbox.cancel()),
  shape: ({ points }) => ({ points, closed: true, corners: false }),
};

/** @type {Tool} */
export const polygon = {
  name: 'polygon',
  key: 'P',
  icon: '⬠',
  help: 'Polygon: click corners; Enter, a double click or the first corner closes it; Backspace removes the last. With Shift: remove.',
  takesPoints: true,
  press: (toolbox, point) => (closes(toolbox, point) ? send(toolbox) : toolbox.points.push(point)),
  close: (toolbox) => (toolbox.points.length > 2 ? send(toolbox) : undefined),
  shape: ({ points }) => ({ points, closed: false, corners: true }),
};

/** @param {Toolbox} toolbox */
function send(toolbox) {
  return toolbox.finish('outline', { points: pairs(toolbox.points), erase: toolbox.minus });
}

/**
 * Return whether a corner closes the polygon.
 * @param {Toolbox} toolbox
 * @param {Point} point
 */
function closes({ points, viewer }, point) {
  return points.length > 2 && Math.hypot(point.x - points[0].x, point.y - points[0].y) < viewer.css(NEAR);
}

/** @type {Tool} */
export const part = {
  name: 'part',
  key: 'O',
  icon: '⇄',
  help: 'Part: click on a part of another object; it becomes the chosen object’s. Shift chooses the object instead.',
  takesPoints: true,
  press: async (toolbox, point) => {
    const { app } = toolbox;
    const other = idAt(toolbox.viewer.labels, point);
    if (toolbox.minus && other) {
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
  press: async (toolbox, point) => {
    const id = await toolbox.app.send('split_object', { point: pairs([point])[0] });
    if (id !== undefined) toolbox.app.choose(id);
  },
};

/** @type {import('./toolbox.js').Tool} */
const pan = { name: 'pan', key: 'H', icon: '✥', help: 'Pan: drag the image. Space plays; a middle drag always pans.', press: () => {} };

/** @type {import('./toolbox.js').Tool[]} */
export const TOOLS = [box, click, brush, eraser, lasso, polygon, part, split, pan];
