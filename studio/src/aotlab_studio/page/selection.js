/** Selected object, which receives edits and may be isolated; objects that this tab hides. */

import { showHint } from './messages.js';

export class Selection {
  onLeave = () => {}; // called before the user selects another object
  onChange = () => {};

  /** @param {import('./project.js').Project} project @param {import('./queue.js').EditQueue} queue */
  constructor(project, queue) {
    this.project = project;
    this.queue = queue;
    /** The selected object. @type {import('./queue.js').Target} */
    this.target = { id: 0 };
    this.recentIds = /** @type {number[]} */ ([]); // ids of selected objects, the latest first
    this.isolatedId = 0; // id of the isolated object; 0: all are drawn
    this.hiddenIds = /** @type {Set<number>} */ (new Set()); // of this tab only
  }

  /** Selected object; undefined: none, or it is not created yet, or another page has deleted it. */
  get item() {
    return this.project.findObject(this.target.id);
  }

  get id() {
    return this.item?.id ?? 0;
  }

  /** Return the target of the next edit: a new object if another page has deleted the selected one. */
  getEditTarget() {
    const { target, queue } = this;
    if (target.id && !this.item && !queue.hasEdits) this.target = { id: 0 };
    return this.target;
  }

  /** After an action on a target that has no object, set the object of later edits.
   * @param {{id: number}} target @param {number} id created object, or the one merged into; 0: a new one */
  updateTarget(target, id) {
    if (this.project.findObject(target.id)) return;
    target.id = id;
    if (target === this.target) this.recentIds.unshift(id);
    this.onChange();
  }

  /** Finish the input for another object, and select this one. @param {number} id */
  selectByUser(id) {
    if (id !== this.id) this.onLeave();
    this.setSelected(id);
  }

  /** Select an object; another one ends isolation. @param {number} id */
  setSelected(id) {
    this.recentIds = [id, ...this.recentIds.filter((other) => other !== id)];
    this.replaceTarget(id);
  }

  replaceTarget(/** @type {number} */ id) {
    if (id !== this.isolatedId) this.isolatedId = 0;
    this.target = { id };
    this.onChange();
  }

  /** If undo or redo removed the selected object or restored one, select the most recently selected one that exists. */
  selectAfterUndo(/** @type {number} */ previousId, /** @type {{id: number}[]} */ previousObjects) {
    const isRestored = this.project.objects.some(({ id }) => !previousObjects.some((before) => before.id === id));
    const recentId = this.recentIds.find((candidate) => this.project.findObject(candidate));
    if (recentId && (isRestored || (previousId && !this.id))) this.replaceTarget(recentId);
  }

  isVisible(/** @type {number} */ id) {
    return !this.hiddenIds.has(id) && [0, id].includes(this.isolatedId);
  }

  /** Hide an object or show it again, after the earlier edits: it may not exist yet, and drawing shows it.
   * An isolated object is no longer isolated. @param {import('./queue.js').Target} target */
  async toggleHidden(target) {
    await this.queue.previous;
    if (this.isolatedId) this.isolatedId = 0;
    else if (!this.hiddenIds.delete(target.id) && target.id) this.hiddenIds.add(target.id);
    this.onChange();
  }

  selectNext(/** @type {number} */ by) {
    const { objects } = this.project;
    const index = objects.findIndex((item) => item.id === this.id);
    this.selectIndex(Math.min(objects.length - 1, Math.max(0, index + by)));
  }

  selectIndex(/** @type {number} */ index) {
    const item = this.project.objects[index];
    if (item) this.selectByUser(item.id);
  }

  /** Show only one object, or all again. @param {number} id 0: background */
  isolate(id) {
    const isIsolated = id > 0 && id !== this.isolatedId;
    this.isolatedId = isIsolated ? id : 0;
    if (isIsolated) this.selectByUser(id);
    else this.onChange();
    showHint(isIsolated ? `Only ${this.project.getName(id)} is shown; double-click it to show all objects.` : '');
  }
}
