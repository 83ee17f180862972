/** Project as the server described it last: objects, notes and the step that undo would undo. */

/** @import { DocumentState, ObjectInfo } from './protocol.js' */

export class Project {
  constructor() {
    this.id = ''; // empty until the server has described the project
    this.name = '';
    this.revision = 0; // of this state; a restarted program counts anew
    this.step = 0;
    this.objects = /** @type {ObjectInfo[]} */ ([]);
    this.notes = /** @type {DocumentState['notes']} */ ({});
    this.checked = /** @type {number[]} */ ([]); // frames marked as checked
    this.outdated = /** @type {DocumentState['outdated']} */ ({});
    this.range = /** @type {DocumentState['range']} */ (null); // to track; null: all frames
    this.editable_range = /** @type {[number, number]} */ ([0, 0]);
  }

  findObject(/** @type {number} */ id) {
    return this.objects.find((item) => item.id === id);
  }

  getName(/** @type {number} */ id) {
    return this.findObject(id)?.name || `object ${id}`;
  }
}
