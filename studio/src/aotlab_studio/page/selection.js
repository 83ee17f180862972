/** Selected object, which receives edits and may be isolated. */

import { showHint } from './dom.js';

export class Selection {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Record of the selected object. @type {import('./queue.js').Target} */
    this.target = { id: 0 };
    /** Whether only the selected object is drawn. */
    this.isIsolated = false;
    /** Ids of objects in the order in which they were selected last, the selected one first. @type {number[]} */
    this.recentIds = [];
  }

  /** Selected object; undefined: none, or it is not created yet, or somebody has deleted it. */
  get item() {
    return this.app.findObject(this.target.id);
  }

  /** Id of the selected object, or 0. */
  get id() {
    return this.item?.id ?? 0;
  }

  /** Return the record for the next edit: a new one if another page has deleted the object; edits begun on it fail. */
  getTarget() {
    const { target, app: { queue } } = this;
    if (target.id && !this.item && !queue.pendingCount) this.target = { id: 0 };
    return this.target;
  }

  /** Note the selected object; without one, all are drawn. */
  update() {
    if (this.item) this.recentIds = [this.id, ...this.recentIds.filter((id) => id !== this.id)];
    else this.isIsolated = false;
  }

  /** Select an object, and drop unfinished input for another. @param {number} id */
  select(id) {
    if (id !== this.id) this.app.toolbox.cancel();
    this.set(id);
  }

  /** Select an object; another than the selected one ends isolation. @param {number} id */
  set(id) {
    if (id !== this.id) this.isIsolated = false;
    this.target = { id };
    this.app.renderObjects();
  }

  /**
   * If an undo left no object selected, select the one that it restored, or the one before the one that it removed.
   * @param {number} id selected before
   * @param {{id: number}[]} objects before
   */
  selectAfterUndo(id, objects) {
    const ids = this.app.objects.map((item) => item.id);
    const existingId = id
      ? this.recentIds.find((recentId) => ids.includes(recentId))
      : ids.find((restoredId) => !objects.some((item) => item.id === restoredId));
    if (existingId && !this.id) this.set(existingId);
  }

  /** @param {number} by */
  selectNext(by) {
    const { objects } = this.app;
    const index = objects.findIndex((item) => item.id === this.id);
    this.selectIndex(Math.min(objects.length - 1, Math.max(0, index + by)));
  }

  /** @param {number} index */
  selectIndex(index) {
    const item = this.app.objects[index];
    if (item) this.select(item.id);
  }

  /** Show only one object, or all again. @param {number} id 0: background */
  isolate(id) {
    const isIsolated = id > 0 && !(this.isIsolated && id === this.id);
    if (isIsolated) this.select(id);
    this.isIsolated = isIsolated;
    this.app.renderObjects();
    showHint(isIsolated ? `Only ${this.app.getName(id)} is shown; double-click it to show all objects.` : '');
  }
}
