// @ts-check
/** Text fields of stored values. */

import { createElement } from './dom.js';

/** A field that keeps what is being typed, and what was refused, for the frame or object it was typed for. */
export class TextField {
  /** @param {HTMLInputElement} input @param {(subject: number, text: string) => Promise<{error?: Error}>} store */
  constructor(input, store) {
    this.input = input;
    this.store = store;
    /** Frame or object whose text the field shows, and its stored text. */
    this.shown = { subject: 0, text: '' };
    /** Latest stored text, which the field shows when nobody types. */
    this.current = this.shown;
    /** Texts that are not stored, and why, by frame or object. @type {Map<number, {text: string, error: string}>} */
    this.unstored = new Map();
    this.problem = createElement('p', { className: 'problem', role: 'alert' });
    (input.closest('label') ?? input).after(this.problem);
    input.onblur = () => this.commit();
    input.onkeydown = (event) => { if (event.key === 'Escape') input.value = this.shown.text; };
  }

  /**
   * Show the text of a frame or object, unless somebody types.
   * @param {number} subject
   * @param {string} text as stored
   */
  show(subject, text) {
    this.current = { subject, text };
    if (document.activeElement === this.input) return;
    this.shown = this.current;
    if (this.unstored.get(subject)?.text === text) this.unstored.delete(subject);
    const unstored = this.unstored.get(subject);
    this.input.value = unstored?.text ?? text;
    this.problem.textContent = unstored?.error ?? '';
  }

  /** Store what was typed. */
  async commit() {
    const { subject, text: before } = this.shown;
    const typed = { text: this.input.value.trim(), error: '' };
    this.unstored.set(subject, typed);
    const { error } = typed.text === before ? {} : await this.store(subject, typed.text);
    if (error) typed.error = error.message;
    else if (this.unstored.get(subject) === typed) this.unstored.delete(subject);
    this.show(this.current.subject, this.current.text);
  }
}
