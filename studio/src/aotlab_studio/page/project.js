/** Project as the server described it last: objects, notes and the step that undo would undo. */

/** @import { ObjectInfo, PageState } from './protocol.js' */

export class Project {
  id = ''; // empty until the server has described the project
  revision = 0; // of this state; a restarted program counts anew
  step = 0;
  schema = /** @type {PageState['schema']} */ ([]); // classes that the lead allows; empty: any
  varying = /** @type {PageState['varying']} */ ({}); // attributes by object and by the frame from which they apply
  objects = /** @type {ObjectInfo[]} */ ([]);
  notes = /** @type {PageState['notes']} */ ([]);
  checked = /** @type {number[]} */ ([]); // frames marked as checked
  frozen = /** @type {number[]} */ ([]);
  outdated = /** @type {PageState['outdated']} */ ({});
  range = /** @type {PageState['range']} */ (null); // to track; null: all frames
  editable_range = /** @type {[number, number]} */ ([0, 0]);

  findObject(/** @type {number} */ id) {
    return this.objects.find((item) => item.id === id);
  }

  /** Return the rule of an object's class; undefined: the lead has set none. @param {ObjectInfo | undefined} item */
  findRule(item) {
    return this.schema.find(({ name }) => name === item?.class_name);
  }

  /** Return the value of an attribute on a frame; undefined: not given.
   * @param {ObjectInfo} item @param {string} name @param {number} frame */
  getAttribute({ id, attributes }, name, frame) {
    if (name in attributes) return attributes[name];
    const changes = Object.entries(this.varying[id] ?? {}).filter(([start]) => Number(start) <= frame);
    return changes.sort(([a], [b]) => Number(b) - Number(a))[0]?.[1][name];
  }

  getName(/** @type {number} */ id) {
    return this.findObject(id)?.name || `object ${id}`;
  }
}
