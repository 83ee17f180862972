/** Selected object, which receives edits; objects that this tab hides. */

import { state, subscribe, update } from './store.js';

class Selection {
  recentIds = /** @type {number[]} */ ([]); // ids of selected objects, the latest first
  otherIds = /** @type {Set<number>} */ (new Set()); // that get the same class as the selected one

  /** Selected object; undefined: none, or it is not created yet, or another page has deleted it. */
  get item() {
    return state.project.findObject(state.target.id);
  }

  get id() {
    return this.item?.id ?? 0;
  }

  /** Return the target of the next edit: a new object if another page has deleted the selected one. */
  getEditTarget() {
    if (state.target.id && !this.item && !state.actions.size) update({ target: { id: 0 } });
    return state.target;
  }

  /** After an action on a target, set the object of later edits, also of those that wait for the answer.
   * @param {{id: number}} target
   * @param {number} id created object, or the one merged into; 0: none, and if the target has no object, a new one */
  updateTarget(target, id) {
    if (id ? id === target.id : state.project.findObject(target.id)) return;
    target.id = id;
    if (target === state.target) {
      this.recentIds.unshift(id);
      this.otherIds.clear();
    }
    update({ target: state.target });
  }

  /** Select an object. @param {number} id */
  setSelected(id) {
    this.recentIds = [id, ...this.recentIds.filter((other) => other !== id)];
    this.replaceTarget(id);
  }

  replaceTarget(/** @type {number} */ id) {
    this.otherIds.clear();
    update({ target: { id } });
  }

  /** Add an object to those that get the same class as the selected one, or remove it. @param {number} id */
  toggleOther(id) {
    if (id !== this.id && !this.otherIds.delete(id)) this.otherIds.add(id);
    update({ target: state.target });
  }

  /** Return the objects that get the same class as an object. @param {number} id */
  findOthers(id) {
    return id === this.id ? [...this.otherIds].filter((other) => state.project.findObject(other)) : [];
  }

  /** If undo or redo removed the selected object or restored one, select the most recently selected one that exists. */
  selectAfterUndo(/** @type {number} */ previousId, /** @type {{id: number}[]} */ previousObjects) {
    const { project } = state;
    const isRestored = project.objects.some(({ id }) => !previousObjects.some((before) => before.id === id));
    const recentId = this.recentIds.find((candidate) => project.findObject(candidate));
    if (recentId && (isRestored || (previousId && !this.id))) this.replaceTarget(recentId);
  }

  isVisible(/** @type {number} */ id) {
    return !state.hiddenIds.has(id);
  }

  /** Call `show` after each change of the objects and of which are selected or visible. @param {() => void} show */
  subscribe(show) {
    subscribe(['project', 'target', 'hiddenIds'], show);
  }
}

export const selection = new Selection();
