/** Corners of the selected object's outline, which the tool *corners* moves. */

import { connection } from './connection.js';
import { CoalescedTask, getPointer } from './dom.js';
import { CLOSE_DISTANCE, toolbox } from './input.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe, update } from './store.js';
import { getDistance, toPairs, viewer } from './viewer.js';

/** @import { Stroke } from './store.js' */
/** @import { Point } from './viewer.js' */

const fetchTask = new CoalescedTask(async () => {
  const { shown: { frame, labels }, tool } = state;
  const isNeeded = tool.name === 'corners' && labels?.presentIds.has(selection.id);
  const message = { frame, object_id: selection.id };
  const answer = isNeeded ? await connection.call('list_corners', message).catch(() => null) : null;
  if (labels === state.shown.labels) update({ outlines: (answer?.result ?? []).map((line) => line.map(toPoint)) });
});
subscribe(['tool', 'target', 'shown'], () => fetchTask.run());

const toPoint = (/** @type {[number, number]} */ [x, y]) => ({ x, y });

/** Return the point of a line from `a` to `b` that is nearest to a point. @type {(...points: Point[]) => Point} */
function findNearest(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const share = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  return { x: a.x + dx * Math.min(1, Math.max(0, share)), y: a.y + dy * Math.min(1, Math.max(0, share)) };
}

/** Return the outline under the start of a drag, and what the drag makes of it: it moves a corner, or a new one between
 * two, or removes a corner; undefined: there is none. @param {Point[]} drag @param {boolean} removes */
function moveCorner([start, ...others], removes) {
  const [reach, end] = [CLOSE_DISTANCE[getPointer()] / viewer.zoom, others.pop()];
  if (!end && !removes) return undefined;
  const candidates = state.outlines.flatMap((outline) => outline.flatMap((corner, index) => {
    const next = findNearest(start, corner, outline[(index + 1) % outline.length]);
    return [{ outline, index, replaced: 1, distance: getDistance(start, corner) / 2 }, // rather than a new one
      { outline, index: index + 1, replaced: 0, distance: getDistance(start, next) }];
  })).filter(({ distance, outline, replaced }) => distance < reach && (!removes || (replaced && outline.length > 3)));
  const [nearest] = candidates.sort((a, b) => a.distance - b.distance);
  if (!nearest) return undefined;
  const { outline: before, index, replaced } = nearest;
  const corner = end && !removes ? [end] : [];
  return { before, after: [...before.slice(0, index), ...corner, ...before.slice(index + replaced)] };
}

export const showMoved = (/** @type {Point[]} */ drag) => moveCorner(drag, false)?.after ?? [];

export function sendMoved(/** @type {Stroke} */ stroke) {
  const moved = moveCorner(stroke.points, stroke.erase);
  if (!moved) return;
  const { before, after } = moved;
  update({ outlines: state.outlines.map((outline) => (outline === before ? after : outline)) });
  const message = { frame: stroke.frame, object_id: null, before: toPairs(before), after: toPairs(after) };
  const answer = queue.edit('move_corners', /** @type {any} */ (message), stroke.target);
  const tool = { ...stroke.tool, shape: undefined };
  toolbox.showUntilAnswered(toolbox.createInput({ ...stroke, points: after, tool }), answer);
}
