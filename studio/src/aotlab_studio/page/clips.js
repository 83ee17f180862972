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

/** Return the next clip to work on that nobody has open. @param {Clip[]} clips @param {string} [name] the last one */
export function findNext(clips, name) {
  const index = clips.findIndex((clip) => clip.name === name) + 1;
  return [...clips.slice(index), ...clips.slice(0, index)].find((clip) => (
    clip.name !== name && !clip.holder && ['open', 'in progress', 'rejected'].includes(clip.status)));
}

/** List of statuses, and the note on the status, a button that opens a dialog as a rejection does. */
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
    /** Last status that the list showed, apart from one that is being chosen with the keyboard. */
    this.shownStatus = /** @type {ClipStatus} */ ('open');
    /** Note that the server refused, which the next dialog offers. */
    this.refusedNote = '';
    /** Number of unanswered statuses; the list shows the last one. */
    this.pendingCount = 0;
    /** Whether keys change the list, for each value that they pass. */
    let usesKeys = false;
    const choose = () => { if (list.value !== this.shownStatus) this.send(list.value === 'rejected'); };
    const revert = () => { list.value = this.shownStatus; this.show(this.storedValue); };
    list.append(...STATUSES.map((status) => new Option(status)));
    list.onpointerdown = () => { usesKeys = false; };
    list.onkeydown = (event) => {
      usesKeys = true;
      if (event.key === 'Escape') revert();
      if (event.key !== 'Enter') return;
      event.preventDefault(); // may open the list
      choose();
    };
    list.onchange = () => { if (!usesKeys) choose(); };
    list.onblur = ({ relatedTarget }) => {
      if (relatedTarget) choose();
      else revert(); // the window lost the focus, or the row moved
    };
    noteButton.onclick = () => this.send(true);
  }

  /** Show status and note, unless they are being changed. @param {{status: ClipStatus, note: string}} value */
  show({ status, note }) {
    const { list, noteButton } = this;
    this.storedValue = { status, note };
    if (this.pendingCount || list.value !== this.shownStatus) return;
    list.value = this.shownStatus = status;
    noteButton.textContent = note;
    noteButton.hidden = !note;
  }

  /** Store the status that the list shows, with a note if the user confirms it. @param {boolean} hasNote */
  async send(hasNote) {
    const status = this.shownStatus = /** @type {ClipStatus} */ (this.list.value);
    this.pendingCount += 1;
    const value = this.refusedNote || this.storedValue.note;
    const field = createElement('input', { type: 'text', maxLength: 100, value });
    if (!hasNote || await ask(`Status: ${status}`, createElement('label', {}, 'Note ', field), 'store')) {
      const note = hasNote ? field.value.trim() : '';
      this.refusedNote = (await this.store(status, note)).error ? note : '';
    }
    this.pendingCount -= 1;
    this.show(this.storedValue);
  }
}

export class ClipHeader {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /**
     * Resolves with the answer to the last status, which is not in the queue: with *Wait*, it takes minutes, and
     * strokes must not wait for it.
     * @type {Promise<unknown>}
     */
    this.lastStatus = Promise.resolve();
    this.fields = new StatusFields(element('clip-status'), element('clip-note'), this.store.bind(this));
  }

  /** @param {import('./protocol.js').Description} description */
  show({ shared }) {
    const isListed = new URL('..', location.href).pathname.endsWith('/clip/');
    for (const link of elements('clips', 'next-clip')) link.hidden = !isListed;
    element('name-field').hidden = isListed || !shared;
  }

  /** Store a status of what the user sees, after the previous one. @param {ClipStatus} status @param {string} note */
  store(status, note) {
    const { queue } = this.app;
    /** @type {import('./protocol.js').Actions['set_status']['message']} */
    const message = { status, note };
    const send = queue.store('set_status', message);
    const seen = queue.previousEdits.then(() => { message.step = this.app.state.step; });
    const answer = Promise.all([seen, this.lastStatus]).then(send);
    this.lastStatus = answer;
    return answer;
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
