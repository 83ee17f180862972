// @ts-check
/** Keys of the page by task, and the cursor that they move. */

import { TOOLS } from './tools.js';

/** @typedef {import('./shortcuts.js').Binding} Binding */

const PAN_STEP = 80;
const PANS = /** @type {Record<string, [number, number]>} */ ({ 'Ctrl+←': [PAN_STEP, 0], 'Ctrl+→': [-PAN_STEP, 0], 'Ctrl+↑': [0, PAN_STEP], 'Ctrl+↓': [0, -PAN_STEP] });

/**
 * @param {import('./main.js').App} app
 * @returns {Record<string, Binding[]>} by task
 */
export function bindings(app) {
  const { toolbox, viewer, playback, tracking } = app;
  return {
    Draw: [
      ...TOOLS.map(({ name, key, help }) => ({ keys: [key], text: help.split(':')[0].toLowerCase(), run: () => toolbox.choose(name) })),
      { keys: ['U'], text: 'minus: remove instead of adding, as Shift does', run: () => toolbox.invert() },
      { keys: ['[', ']'], text: 'smaller, larger brush', run: (key) => toolbox.resize(key === '[' ? 1 / 1.2 : 1.2) },
      { keys: ['Ctrl+Enter'], text: 'close the polygon', run: () => toolbox.close(), acts: true },
      { keys: ['Escape'], text: 'cancel what was begun; stop tracking', run: () => app.escape() },
      { keys: ['Ctrl+Z'], text: 'undo', run: () => app.history.undo() },
      { keys: ['Ctrl+Shift+Z', 'Ctrl+Y'], text: 'redo', run: () => app.history.redo() },
    ],
    'Draw without a mouse': [
      { keys: ['W', 'A', 'S', 'D'], text: 'move the cursor', run: (key) => moveCursor(app, key) },
      { keys: ['Shift+W', 'Shift+A', 'Shift+S', 'Shift+D'], text: 'move the cursor by one pixel', run: (key) => moveCursor(app, key) },
      { keys: ['Enter', 'Shift+Enter'], text: 'press or lift the tool at the cursor (Shift: minus); without a cursor, close the polygon', run: (key) => pressCursor(app, key === 'Shift+Enter'), acts: true },
    ],
    Objects: [
      { keys: ['N'], text: 'new object', run: () => app.addObject(), acts: true },
      { keys: ['↑', '↓'], text: 'previous, next object', run: (key) => app.chooseNext(key === '↑' ? -1 : 1) },
      { keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'], text: 'choose an object', run: (key) => app.chooseIndex(Number(key) - 1) },
      { keys: ['Delete'], text: 'delete the object, or the last corner or click', run: () => app.history.deleteKey() },
      { keys: ['I'], text: 'hide or show the object', run: () => app.toggle('hidden') },
      { keys: ['J'], text: 'lock or unlock the object', run: () => app.toggle('locked') },
    ],
    'Masks of this frame': [
      { keys: ['F'], text: 'fill holes', run: () => app.send('fill_holes'), acts: true },
      { keys: ['M'], text: 'the object is not on this frame', run: () => app.send('clear'), acts: true },
      { keys: ['R'], text: 'remove what was drawn on this frame', run: () => app.history.resetFrame(), acts: true },
    ],
    'Frames and view': [
      { keys: ['←', '→'], text: 'previous, next frame', run: (key) => playback.step(key === '←' ? -1 : 1) },
      { keys: ['Shift+←', 'Shift+→'], text: 'ten frames back, forward', run: (key) => playback.step(key === 'Shift+←' ? -10 : 10) },
      { keys: ['Home', 'End'], text: 'first, last frame', run: (key) => playback.seek(key === 'Home' ? 0 : playback.count - 1) },
      { keys: ['Space'], text: 'play, stop', run: () => playback.play() },
      { keys: ['+', '-', 'PageUp', 'PageDown'], text: 'zoom at the pointer', run: (key) => viewer.zoomBy(['-', 'PageDown'].includes(key) ? 1 / 1.25 : 1.25, viewer.pointer || undefined) },
      { keys: Object.keys(PANS), text: 'pan', run: (key) => viewer.pan(...PANS[key]) },
      { keys: ['0'], text: 'show the whole frame', run: () => viewer.fit() },
      { keys: ['V'], text: 'outline only, or filled', run: () => app.toggleFill() },
    ],
    Track: [
      { keys: ['T'], text: 'track forward', run: () => tracking.track('forward'), acts: true },
      { keys: ['Shift+T'], text: 'track backward', run: () => tracking.track('backward'), acts: true },
      { keys: ['Y'], text: 'track in both directions', run: () => tracking.track('both'), acts: true },
      { keys: ['K'], text: 'pause or resume tracking', run: () => tracking.pause() },
      { keys: ['Shift+Delete'], text: 'drop results from this frame on', run: () => tracking.drop(), acts: true },
      { keys: ['Q'], text: 'take a frame of the stream', run: () => tracking.takeFrame(), acts: true },
      { keys: ['Shift+Q'], text: 'go live: track the stream', run: () => tracking.goLive(), acts: true },
    ],
    'Review and export': [
      { keys: ['.'], text: 'next frame to check', run: () => app.review.next() },
      { keys: ['Shift+E'], text: 'export', run: () => app.exporter.open() },
      { keys: ['?'], text: 'these keys', run: () => app.keyDialog.open() },
    ],
  };
}

const CURSOR_STEP = 8;
const DIRECTIONS = /** @type {Record<string, [number, number]>} */ ({ W: [0, -1], A: [-1, 0], S: [0, 1], D: [1, 0] });

/**
 * @param {import('./main.js').App} app
 * @param {string} name the key: W, A, S or D, with or without Shift
 */
export function moveCursor(app, name) {
  const { viewer, toolbox } = app;
  const middle = { x: viewer.size.width / 2, y: viewer.size.height / 2 };
  const point = viewer.cursor ? viewer.cursor.point : middle;
  const by = name.startsWith('Shift+') ? 1 : CURSOR_STEP;
  const [dx, dy] = DIRECTIONS[name[name.length - 1]] || [0, 0];
  const next = {
    x: Math.min(viewer.size.width, Math.max(0, point.x + dx * by)),
    y: Math.min(viewer.size.height, Math.max(0, point.y + dy * by)),
  };
  viewer.cursor = { point: next, radius: toolbox.cursorRadius() };
  viewer.pointer = viewer.placeOf(next);
  toolbox.move(next);
  viewer.draw();
  app.say(`cursor at ${Math.round(next.x)}, ${Math.round(next.y)}`);
}

/**
 * Press the chosen tool at the cursor, or lift it.
 * @param {import('./main.js').App} app
 * @param {boolean} shift
 */
export function pressCursor(app, shift) {
  const { cursor } = app.viewer;
  if (!cursor && app.toolbox.tool.close && app.toolbox.points.length) app.toolbox.close();
  else if (!cursor) moveCursor(app, '');
  else if (app.toolbox.down) app.toolbox.release();
  else app.toolbox.press(cursor.point, { shift, right: false });
}
