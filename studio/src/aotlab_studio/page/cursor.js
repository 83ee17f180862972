// @ts-check
/** Cursor on the frame, moved by the keyboard. */

const STEP = 8;
const DIRECTIONS = /** @type {Record<string, [number, number]>} */ ({ W: [0, -1], A: [-1, 0], S: [0, 1], D: [1, 0] });

/**
 * @param {import('./main.js').App} app
 * @param {string} name the key: W, A, S or D, with or without Shift
 */
export function moveCursor(app, name) {
  const { viewer, toolbox } = app;
  const middle = { x: viewer.size.width / 2, y: viewer.size.height / 2 };
  const point = viewer.cursor ? viewer.cursor.point : middle;
  const by = name.startsWith('Shift+') ? 1 : STEP;
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
