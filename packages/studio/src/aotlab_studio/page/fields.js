/** Number and text fields, forms, lists of rows; keys that belong to them. */

import { createElement, element, FIELDS, scrollTo } from './dom.js';
import { loadSettings } from './settings.js';

/** Return the number in a field; undefined: empty. @param {'first' | 'last' | 'export-first' | 'export-last'} id */
export const readNumber = (id) => (element(id).value === '' ? undefined : Number(element(id).value));

/** Handle a form's main button and Enter, if all is valid. @param {HTMLButtonElement} button @param {() => void} run */
export function onSubmit(button, run) {
  button.onclick = (event) => {
    event.preventDefault();
    if (button.form?.reportValidity()) run();
  };
}

/** Whether a key press is a shortcut, and does not belong to a field or button. @param {KeyboardEvent} event */
export function isShortcut({ key, target, ctrlKey, metaKey }) {
  const control = /** @type {Element} */ (target);
  const [isDelete, hasControl] = [['Delete', 'Backspace'].includes(key), ctrlKey || metaKey];
  if ((key.length === 1 || isDelete) && !hasControl && loadSettings().singleKeys === false) return false;
  if (control.matches(FIELDS) || (control.matches('input') && isDelete)) return false;
  if (control.role === 'slider' && key === 'Enter' && !hasControl) return false; // it does not paint
  return !(control.matches('button, input, a') && [' ', 'Enter'].includes(key));
}

/** Return title and local time of a step. @param {{title: string, time: string}} step */
export function formatStep({ title, time }) {
  const date = new Date(time);
  const format = /** @type {const} */ ({ dateStyle: 'medium', timeStyle: 'short' });
  const local = Number.isNaN(date.valueOf()) ? 'unknown time' : date.toLocaleString([], format);
  return `${title} · ${local}`;
}

/** List that reuses the elements of its rows, so that focus and presses survive an update. @template T */
export class RowList {
  /** @typedef {{line: HTMLElement, show: (item: T) => void}} Row */
  /** @param {HTMLElement} list @param {(item: T) => number | string} getKey @param {(item: T) => Row} createRow */
  constructor(list, getKey, createRow) {
    this.list = list;
    this.getKey = getKey;
    this.createRow = createRow;
    this.rows = /** @type {Map<number | string, Row>} */ (new Map());
  }

  show(/** @type {T[]} */ items) {
    const { list, rows } = this;
    this.rows = new Map(items.map((item) => [this.getKey(item), rows.get(this.getKey(item)) ?? this.createRow(item)]));
    const newRows = [...this.rows.values()];
    const focusedIndex = [...rows.values()].findIndex(({ line }) => line.contains(document.activeElement));
    for (const row of rows.values()) if (!newRows.includes(row)) row.line.remove();
    for (const [index, row] of newRows.entries()) {
      const { line } = row;
      row.show(items[index]);
      if (line.contains(document.activeElement)) { // moving it would end its focus
        while (list.children[index] !== line) list.append(list.children[index]);
      } else if (list.children[index] !== line) list.insertBefore(line, list.children[index] ?? null);
    }
    if (focusedIndex < 0 || list.contains(document.activeElement)) return;
    const nextRow = newRows[Math.min(focusedIndex, newRows.length - 1)]; // the focused one was removed
    (nextRow?.line.querySelector('button') ?? element('view'))?.focus();
  }

  scrollToRow(/** @type {number | string} */ key) {
    const line = this.rows.get(key)?.line;
    if (line) scrollTo(this.list, line.offsetTop - this.list.offsetTop, line.offsetHeight);
  }
}

/** Unstored text; `error` is empty until it is refused. @typedef {{text: string, error: string}} Draft */

/** Text field that keeps unsaved and refused text with its frame or object. */
export class TextField {
  /** @param {HTMLInputElement} input
   * @param {(key: number) => string} getStored stored text of a frame or object
   * @param {(key: number, text: string) => Promise<{error?: Error}>} store */
  constructor(input, getStored, store) {
    this.input = input;
    this.getStored = getStored;
    this.store = store;
    this.key = 0; // frame or object whose text the field shows
    this.keyToShow = 0; // frame or object to show when the user does not type
    this.drafts = /** @type {Map<number, Draft>} */ (new Map()); // unstored, by frame or object
    this.problem = createElement('p', { className: 'problem', role: 'alert' });
    (input.closest('label') ?? input).after(this.problem);
    input.onblur = () => this.commit();
  }

  /** Show the text of a frame or object unless the user is typing. @param {number} key */
  show(key) {
    const { input, drafts } = this;
    this.keyToShow = key;
    if (document.activeElement === input) return;
    this.key = key;
    input.value = this.getStored(key); // without line breaks
    const stored = input.value.trim();
    if (drafts.get(key)?.text === stored) drafts.delete(key);
    const draft = drafts.get(key);
    input.defaultValue = draft && !draft.error ? draft.text : stored;
    input.value = draft?.text ?? stored;
    this.problem.textContent = draft?.error ?? '';
  }

  /** Store changed text. The default value, which Escape restores, is the text that is stored or being stored. */
  async commit() {
    const { input, key, drafts } = this;
    const draft = { text: input.value.trim(), error: '' };
    if (draft.text === input.defaultValue) {
      if (drafts.get(key)?.error) drafts.delete(key);
    } else {
      drafts.set(key, draft);
      input.defaultValue = draft.text;
      const { error } = await this.store(key, draft.text);
      draft.error = error?.message ?? '';
      if (!error && drafts.get(key) === draft) drafts.delete(key);
      if (error && this.key === key) input.defaultValue = this.getStored(key);
    }
    this.show(this.keyToShow);
  }
}
