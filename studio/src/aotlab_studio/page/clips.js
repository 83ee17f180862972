/** Clips of a batch: list from the server, status, next clip. */

import { fetchOrThrow } from './connection.js';
import { element, elements, showError, showMessage, TextField } from './dom.js';

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

/** List of statuses, with a field for the reason of a rejection. */
export class StatusFields {
  /**
   * @param {HTMLSelectElement} list
   * @param {HTMLInputElement} field
   * @param {(status: ClipStatus, note: string) => Promise<{error?: Error}>} store
   */
  constructor(list, field, store) {
    this.list = list;
    this.field = field;
    this.store = store;
    this.note = new TextField(field, (_, text) => this.send(text));
    /** Status and note stored by the server. @type {{status: ClipStatus, note: string}} */
    this.storedValue = { status: 'open', note: '' };
    /** Number of unanswered statuses; the list shows the last one. */
    this.pendingCount = 0;
    list.append(...STATUSES.map((status) => new Option(status)));
    list.onchange = () => {
      field.hidden = list.value !== 'rejected';
      if (field.hidden || field.value) this.send(field.hidden ? '' : field.value.trim());
      else field.focus(); // the rejection is stored when the field is left
    };
    field.addEventListener('keydown', (event) => { if (event.key === 'Enter' && !event.isComposing) list.focus(); });
    field.addEventListener('blur', () => {
      if (list.value !== this.storedValue.status && !field.value.trim()) this.send('');
    });
  }

  /** Whether the user is choosing a status or typing a reason. */
  get isChanging() {
    const { list, field, storedValue: { status } } = this;
    return document.activeElement === field || (document.activeElement === list && list.value === status);
  }

  /** Show status and note, unless they are being changed. @param {{status: ClipStatus, note: string}} value */
  show({ status, note }) {
    const { list, field } = this;
    this.storedValue = { status, note };
    const isTyping = document.activeElement === field;
    if (!this.pendingCount && !isTyping) list.value = status;
    this.note.show(0, note);
    if (!isTyping) field.hidden = list.value !== 'rejected' && !field.value;
  }

  /** Store the chosen status with a note. @param {string} note */
  async send(note) {
    this.pendingCount += 1;
    const result = await this.store(/** @type {ClipStatus} */ (this.list.value), note);
    this.pendingCount -= 1;
    this.show(this.storedValue);
    return result;
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
    const [list, field] = [element('clip-status'), element('clip-note')];
    this.fields = new StatusFields(list, field, (status, note) => this.store(status, note));
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
