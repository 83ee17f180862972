/** Project as the server described it last: objects and the step that undo would undo. */

/** @import { ObjectInfo, PageState } from './protocol.js' */

export class Project {
  id = ''; // empty until the server has described the project
  revision = 0; // of this state; a restarted program counts anew
  step = 0;
  read_only = false; // whether changes are refused
  done = false; // whether the video is marked as done
  history = /** @type {PageState['history']} */ ([null, null]); // steps that undo and redo would change
  schema = /** @type {PageState['schema']} */ ([]); // classes of a file; empty: any
  objects = /** @type {ObjectInfo[]} */ ([]);
  checked = /** @type {number[]} */ ([]); // frames marked as checked
  frozen = /** @type {number[]} */ ([]);
  outdated = /** @type {PageState['outdated']} */ ({});
  range = /** @type {PageState['range']} */ (null); // to track; null: all frames
  editable_range = /** @type {[number, number]} */ ([0, 0]);

  findObject(/** @type {number} */ id) {
    return this.objects.find((item) => item.id === id);
  }

  getName(/** @type {number} */ id) {
    return this.findObject(id)?.name || `object ${id}`;
  }
}
