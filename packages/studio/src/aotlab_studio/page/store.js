/** State of the page: document, frames, selection, tool, pending input. `update` changes it, and views that `subscribe`
 show it. No other module keeps what two of them need. */

/** @import { ActionAnswer } from './connection.js' */
/** @import { Labels } from './frames.js' */
/** @import { FrameToCheck, JobProgress, ObjectInfo, PageState } from './protocol.js' */
/** @import { Point, Sketch } from './viewer.js' */

/** Object that may not exist yet: id 0 until the first edit has created it. Edits of one object share it.
 * @typedef {{readonly id: number}} Target */
/** A tool. `usesBrush`: a drag paints with the round brush. `makesPrompts`: the server answers its input with a mask.
 * `isPolygon`: its corners are drawn. `isClosedShape`: its outline is closed.
 * A tool without `release` acts when pressed; `shape` returns the outline of a drag.
 * @typedef {{name: string, key: string, icon: string, help: string, usesBrush?: boolean, erases?: boolean,
 *   makesPrompts?: boolean, isPolygon?: boolean, isClosedShape?: boolean,
 *   shape?: (points: Point[]) => Point[],
 *   press?: (point: Point, inverts: boolean) => unknown,
 *   release?: (stroke: Stroke) => unknown}} Tool */
/** What the user draws with a tool, from the press on; `erase`: it removes; `isJoined`: it begins at the end of the
 * last stroke. @typedef {{tool: Tool, frame: number, target: Target, erase: boolean, points: Point[],
 *   isJoined?: boolean}} Stroke */
/** A stroke as it is shown. `answerId`: the object that got the mask of a prompt.
 * @typedef {Sketch & Stroke & {answerId?: number}} Input */
/** Input that runs in order: what changes masks waits for the requested frame, and what comes later waits behind it.
 * `stroke`: to show while it waits. @typedef {{run: () => void, waitsForFrame: boolean, stroke?: Stroke}} Command */
/** An action without an answer.
 * @typedef {{action: keyof import('./protocol.js').Actions | 'load', message?: object, target?: Target,
 *   isCanceled?: () => boolean}} PendingAction */

/** Document as the server described it last: objects and the step that undo would undo. */
class Project {
  id = ''; // empty until the server has described the project
  revision = 0; // of this state; a restarted program counts anew
  step = 0;
  read_only = false; // whether changes are refused
  done = false; // whether the video is marked as done
  history = /** @type {PageState['history']} */ ([null, null]); // steps that undo and redo would change
  schema = /** @type {PageState['schema']} */ ([]); // classes of a file; empty: any
  classes = /** @type {string[]} */ ([]); // suggestions for the class of an object
  objects = /** @type {ObjectInfo[]} */ ([]);
  checked = /** @type {number[]} */ ([]); // frames marked as checked
  outdated = /** @type {PageState['outdated']} */ ({});
  editable_range = /** @type {[number, number]} */ ([0, 0]);

  findObject(/** @type {number} */ id) {
    return this.objects.find((item) => item.id === id);
  }

  getName(/** @type {number} */ id) {
    return this.findObject(id)?.name || `object ${id}`;
  }
}

const noTool = /** @type {Tool} */ ({ name: '', key: '', icon: '', help: '' }); // until `tools.js` chooses one
const target = /** @type {Target} */ ({ id: 0 });

const values = {
  project: new Project(),
  job: /** @type {JobProgress | null} */ (null), // runs or has ended
  marks: /** @type {Map<number, string[]>} */ (new Map()), // of the frames in the timeline, by object id
  checks: /** @type {FrameToCheck[]} */ ([]), // frames to check, the worst first, then corrected ones

  count: 1, // of frames
  rate: 25,
  wanted: { frame: 0, revision: 0 },
  /** Frame that shows, and the revision of its masks. */
  shown: { frame: 0, revision: 0, image: /** @type {ImageBitmap | null} */ (null),
    labels: /** @type {Labels | null} */ (null) },
  placeholder: /** @type {ImageBitmap | null} */ (null), // nearby frame, until the requested one is decoded
  /** `seek`: the requested frame does not show yet; `follow`: frames show as they are tracked. */
  mode: /** @type {'idle' | 'seek' | 'play' | 'follow'} */ ('seek'),

  target, // selected object
  hiddenIds: /** @type {Set<number>} */ (new Set()), // of this tab only

  tool: noTool,
  drawingTool: noTool, // last tool except pan; its unfinished input stays while the user pans
  radius: 12, // of the brush, in pixels of the frame

  /** Unfinished input, or the last one without its points. @type {Stroke} */
  stroke: { tool: noTool, frame: 0, target, erase: false, points: [] },
  /** Drag that began while its frame was loading, and what draws it there.
   * @type {{stroke: Stroke, draw: () => void} | null} */
  held: null,
  commands: /** @type {Command[]} */ ([]), // that wait for a frame
  actions: /** @type {Map<number, PendingAction>} */ (new Map()), // without an answer, by id of the message
  unanswered: /** @type {Set<Input>} */ (new Set()), // input that is neither answered nor canceled
  outlines: /** @type {Point[][]} */ ([]), // of the selected object, if the tool moves their corners
  answer: /** @type {ActionAnswer<any> | null} */ (null), // last one
};

/** Changed by `update`. @type {Readonly<typeof values>} */
export const state = values;

const views = /** @type {{names: (keyof typeof values)[], show: () => void}[]} */ ([]);

/** Call `show` after each change of these values. @param {(keyof typeof values)[]} names @param {() => void} show */
export function subscribe(names, show) {
  views.push({ names, show });
}

/** Change the state, or announce that values changed in place. @param {Partial<typeof values>} changes */
export function update(changes) {
  Object.assign(values, changes);
  for (const { names, show } of views) if (names.some((name) => name in changes)) show();
}
