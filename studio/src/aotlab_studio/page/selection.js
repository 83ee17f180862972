/** Selected object, which receives edits and may be isolated. */

import { showHint } from './dom.js';

export class Selection {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Record of the selected object. @type {import('./queue.js').ObjectRef} */
    this.target = { id: 0 };
    /** Object that was selected before. */
    this.previousId = 0;
    /** Object that alone is drawn while it is selected; 0: all are drawn. */
    this.isolatedId = 0;
  }

  /** Selected object; undefined: none, or it is not created yet, or another page has deleted it. */
  get item() {
    return this.app.findObject(this.target.id);
  }

  /** Id of the selected object, or 0. */
  get id() {
    return this.item?.id ?? 0;
  }

  /** Return the record for the next edit: a new one if another page has deleted the object; edits begun on it fail. */
  ensureTarget() {
    const { target, app: { queue } } = this;
    if (target.id && !this.item && !queue.pendingCount) this.target = { id: 0 };
    return this.target;
  }

  /** Let edits of a target go to an object, which is there now. @param {{id: number}} target @param {number} id */
  resolve(target, id) {
    target.id = id;
    this.app.renderObjects();
  }

  /** Select an object, and drop unfinished input for another. @param {number} id */
  selectByUser(id) {
    if (id !== this.id) this.app.toolbox.cancel();
    this.setSelected(id);
  }

  /** Select an object; another than the selected one ends isolation. @param {number} id */
  setSelected(id) {
    if (id !== this.id) [this.previousId, this.isolatedId] = [this.id || this.previousId, 0];
    this.target = { id };
    this.app.renderObjects();
  }

  /**
   * If an undo left no object selected, select the one that it restored, or the one before the one that it removed.
   * @param {number} id selected before
   * @param {{id: number}[]} objects before
   */
  selectAfterUndo(id, objects) {
    const restored = this.app.objects.find((item) => !objects.some((before) => before.id === item.id));
    const existing = id ? this.app.findObject(this.previousId) : restored;
    if (existing && !this.id) this.setSelected(existing.id);
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
    if (item) this.selectByUser(item.id);
  }

  /** Show only one object, or all again. @param {number} id 0: background */
  isolate(id) {
    const isIsolated = id > 0 && id !== this.isolatedId;
    if (isIsolated) this.selectByUser(id);
    this.isolatedId = isIsolated ? id : 0;
    this.app.renderObjects();
    showHint(isIsolated ? `Only ${this.app.getName(id)} is shown; double-click it to show all objects.` : '');
  }
}
