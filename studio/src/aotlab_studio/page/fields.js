/** Text fields of values that the server stores. */

import { createElement } from './dom.js';

/** Text field that keeps unsaved and refused text with its frame or object. */
export class TextField {
  /** @param {HTMLInputElement} input @param {(subject: number, text: string) => Promise<{error?: Error}>} store */
  constructor(input, store) {
    this.input = input;
    this.store = store;
    /** Frame or object whose text the field shows, and its stored text. */
    this.shownValue = { subject: 0, text: '' };
    /** Latest stored text, which the field shows when nobody types. */
    this.storedValue = this.shownValue;
    /** Unstored texts and errors by frame or object. @type {Map<number, {text: string, error: string}>} */
    this.drafts = new Map();
    this.problem = createElement('p', { className: 'problem', role: 'alert' });
    (input.closest('label') ?? input).after(this.problem);
    input.onblur = () => this.commit();
    input.onkeydown = (event) => { if (event.key === 'Escape') input.value = this.shownValue.text; };
  }

  /** Show the stored text of a frame or object, unless somebody types. @param {number} subject @param {string} text */
  show(subject, text) {
    this.storedValue = { subject, text };
    if (document.activeElement === this.input) return;
    this.shownValue = this.storedValue;
    if (this.drafts.get(subject)?.text === text) this.drafts.delete(subject);
    const draft = this.drafts.get(subject);
    this.input.value = draft?.text ?? text;
    this.problem.textContent = draft?.error ?? '';
  }

  /** Store the typed text. */
  async commit() {
    const { subject, text: before } = this.shownValue;
    const draft = { text: this.input.value.trim(), error: '' };
    this.drafts.set(subject, draft);
    const { error } = draft.text === before ? {} : await this.store(subject, draft.text);
    if (error) draft.error = error.message;
    else if (this.drafts.get(subject) === draft) this.drafts.delete(subject);
    this.show(this.storedValue.subject, this.storedValue.text);
  }
}
