/** Clips of a batch: list from the server, status, next clip. */

import { fetchOrThrow } from './connection.js';
import { ask, createElement, element, elements, showError, showMessage } from './dom.js';

/** @typedef {import('./protocol.js').Clip} Clip */
/** @typedef {Clip['status']} ClipStatus */

/** @type {ClipStatus[]} */
export const STATUSES = ['open', 'in progress', 'corrected', 'accepted', 'rejected'];

/** @param {string} base address of the batch @returns {Promise<Clip[]>} the most urgent first */
export async function fetchClips(base) {
  return (await fetchOrThrow(`${base}clips`)).json();
}

/**
 * Return the next clip that nobody has open and that needs work or, without one, that waits to be accepted.
 * @param {Clip[]} clips
 * @param {string} [name] of this clip
 */
export function findNext(clips, name) {
  const index = clips.findIndex((clip) => clip.name === name) + 1;
  const others = [...clips.slice(index), ...clips.slice(0, index)].filter((clip) => (
    clip.name !== name && !clip.holder && clip.status !== 'accepted'));
  return others.find((clip) => clip.status !== 'corrected') ?? others[0];
}

/** List of statuses, and a button with the note on the status; the button and a rejection ask for the note. */
export class StatusFields {
  /**
   * @param {HTMLSelectElement} list
   * @param {HTMLButtonElement} noteButton
   * @param {(status: ClipStatus, note: string) => Promise<{error?: Error}>} store
   */
  constructor(list, noteButton, store) {
    this.list = list;
    this.noteButton = noteButton;
    this.store = store;
    /** Status and note stored by the server. @type {{status: ClipStatus, note: string}} */
    this.storedValue = { status: 'open', note: '' };
    /** Last status that was sent and is not answered. @type {{status: ClipStatus} | null} */
    this.pendingValue = null;
    /** Note that the server refused, which the next dialog offers. */
    this.refusedNote = '';
    /** Whether arrow keys change the list: they pass through other statuses, so Enter or leaving the list sends it. */
    let isKeyboard = false;
    list.title = 'Enter stores a status chosen with the arrow keys; Escape restores the stored one';
    list.append(...STATUSES.map((status) => new Option(status)));
    list.onpointerdown = () => { isKeyboard = false; };
    list.onkeydown = (event) => {
      isKeyboard = true;
      if (event.key === 'Escape') list.value = this.shownStatus;
      if (event.key !== 'Enter') return;
      event.preventDefault(); // may open the list
      this.sendChoice();
    };
    list.onchange = () => { if (!isKeyboard) this.sendChoice(); };
    // if the window loses the focus, the list stays the active element
    list.onblur = () => { if (document.activeElement !== list && list.isConnected) this.sendChoice(); };
    noteButton.onclick = () => this.send(true);
  }

  /** Status that the list shows unless the user is choosing another one. */
  get shownStatus() {
    return (this.pendingValue ?? this.storedValue).status;
  }

  get isChoosing() {
    return this.list.value !== this.shownStatus;
  }

  /**
   * Show the stored status, unless the user has chosen another one, and its note.
   * @param {StatusFields['storedValue']} value
   */
  show(value) {
    const { list, noteButton, isChoosing } = this;
    this.storedValue = value;
    if (!isChoosing) list.value = this.shownStatus;
    noteButton.textContent = value.note;
    noteButton.hidden = !value.note;
  }

  /** Send the chosen status if it is another one; ask why if it is a rejection. */
  sendChoice() {
    if (this.isChoosing) this.send(this.list.value === 'rejected');
  }

  /** Send the status that the list shows, with a note if the user confirms it. @param {boolean} askNote */
  async send(askNote) {
    const status = /** @type {ClipStatus} */ (this.list.value);
    const pendingValue = this.pendingValue = { status };
    const value = this.refusedNote || this.storedValue.note;
    const field = createElement('input', { type: 'text', maxLength: 100, value });
    if (!askNote || await ask(`Status: ${status}`, createElement('label', {}, 'Note ', field), 'store')) {
      const note = askNote ? field.value.trim() : '';
      this.refusedNote = (await this.store(status, note)).error ? note : '';
    }
    if (this.pendingValue !== pendingValue) return; // another one was sent since
    const { isChoosing } = this;
    this.pendingValue = null;
    if (!isChoosing) this.list.value = this.shownStatus;
  }
}

export class ClipHeader {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    this.fields = new StatusFields(element('clip-status'), element('clip-note'), (status, note) => (
      app.queue.pushStatus({ status, note })));
  }

  /** @param {import('./protocol.js').Description} description */
  show({ shared }) {
    const isListed = new URL('..', location.href).pathname.endsWith('/clip/');
    for (const link of elements('clips', 'next-clip')) link.hidden = !isListed;
    element('name-field').hidden = isListed || !shared;
  }

  /** Open the next clip that needs work. */
  async openNext() {
    if (element('clips').hidden) return;
    const clips = await fetchClips('../../').catch(showError);
    if (!clips) return;
    const clip = findNext(clips, this.app.name);
    if (clip) location.assign(`../${encodeURIComponent(clip.name)}/`);
    else showMessage('No other clip needs work.');
  }
}
