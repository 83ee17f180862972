/** Clips of a batch: list from the server, status, next clip. */

import { request } from './connection.js';
import { element, elements, showError, showMessage } from './dom.js';
import { TextField } from './fields.js';

/** @typedef {import('./protocol.js').Clip} Clip */
/** @typedef {Clip['status']} ClipStatus */

/** @type {ClipStatus[]} */
export const STATUSES = ['open', 'in progress', 'corrected', 'accepted', 'rejected'];

/** @param {string} base address of the batch @returns {Promise<Clip[]>} the most urgent first */
export async function fetchClips(base) {
  return (await request(`${base}clips`)).json();
}

/** Return the next clip to work on that nobody has open. @param {Clip[]} clips @param {string} [name] the last one */
export function findNext(clips, name) {
  const index = clips.findIndex((clip) => clip.name === name) + 1;
  return [...clips.slice(index), ...clips.slice(0, index)].find((clip) => (
    clip.name !== name && !clip.holder && ['open', 'in progress', 'rejected'].includes(clip.status)));
}

/** Return the options of a list of statuses. */
export const makeStatusOptions = () => STATUSES.map((status) => new Option(status));

/**
 * Ask for the reason of a rejection without one, which is stored when the field is left; return whether it was asked.
 * @param {{value: string}} list statuses
 * @param {HTMLElement & {value: string}} field
 */
export function askReason(list, field) {
  if (list.value !== 'rejected' || field.value) return false;
  field.hidden = false;
  field.focus();
  return true;
}

/** Return the note to store with a status. @param {{value: string}} list @param {{value: string}} field */
export const readReason = (list, field) => (list.value === 'rejected' ? field.value.trim() : '');

export class ClipHeader {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Number of unanswered statuses; the list shows the last one. */
    this.pendingCount = 0;
    /**
     * Resolves with the answer to the last status, which is not in the queue: with *Wait*, it takes minutes, and
     * strokes must not wait for it.
     * @type {Promise<unknown>}
     */
    this.lastSend = Promise.resolve();
    this.note = new TextField(element('clip-note'), (_, text) => this.send(text));
    element('clip-status').append(...makeStatusOptions());
    const [list, field] = elements('clip-status', 'clip-note');
    list.onchange = () => askReason(list, field) || this.send(readReason(list, field));
    field.addEventListener('blur', () => {
      if (list.value !== app.document.status && !field.value.trim()) this.send('');
    });
  }

  /** @param {import('./protocol.js').Description} description */
  show({ shared }) {
    const listed = new URL('..', location.href).pathname.endsWith('/clip/');
    for (const link of elements('clips', 'next-clip')) link.hidden = !listed;
    element('name-field').hidden = listed || !shared;
  }

  /** Show status and note, unless they are being changed. */
  showStatus() {
    const { status, note } = this.app.document;
    const [list, field] = elements('clip-status', 'clip-note');
    const isTyping = document.activeElement === field;
    if (!this.pendingCount && !isTyping) list.value = status;
    this.note.show(0, note);
    if (!isTyping) field.hidden = list.value !== 'rejected' && !field.value;
  }

  /** Store the chosen status with a note, after the previous one. @param {string} note */
  async send(note) {
    const status = /** @type {ClipStatus} */ (element('clip-status').value);
    const { queue } = this.app;
    const send = queue.store('set_status', { status, note });
    this.pendingCount += 1;
    const answer = this.lastSend.then(() => queue.lastEdit).then(send);
    this.lastSend = answer;
    const result = await answer;
    this.pendingCount -= 1;
    this.showStatus();
    return result;
  }

  /** Open the next clip that needs work. */
  async next() {
    if (element('clips').hidden) return;
    try {
      const clip = findNext(await fetchClips('../../'), this.app.name);
      if (clip) location.assign(`../${encodeURIComponent(clip.name)}/`);
      else showMessage('No other clip needs work.');
    } catch (error) {
      showError(error);
    }
  }
}
