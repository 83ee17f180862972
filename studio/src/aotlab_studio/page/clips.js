/** Clips of a batch: list from the server, status, next clip; the user's name. */

import { fetchOrThrow } from './connection.js';
import { createElement, element, elements } from './dom.js';
import { ask, showError, showMessage } from './messages.js';

/** @typedef {import('./protocol.js').Clip} Clip */
/** @typedef {Clip['status']} ClipStatus */

const NAME_COOKIE = 'aotlab_person';

/** @type {ClipStatus[]} */
export const STATUSES = ['open', 'in progress', 'corrected', 'accepted', 'rejected'];

/** @param {string} base address of the batch @returns {Promise<Clip[]>} the most urgent first */
export const fetchClips = async (base) => (await fetchOrThrow(`${base}clips`)).json();

/** Return the next clip that is open or in progress, or else a corrected one. Clips in use are skipped. */
export function findNext(/** @type {Clip[]} */ clips, name = '') {
  const index = clips.findIndex((clip) => clip.name === name) + 1; // after this clip
  const others = [...clips.slice(index), ...clips.slice(0, index)].filter((clip) => (
    clip.name !== name && !clip.holder && !['accepted', 'rejected'].includes(clip.status)));
  return others.find((clip) => clip.status !== 'corrected') ?? others[0];
}

/** Show the user's name in its field, and store it when it changes. @param {() => void} onChange */
export function connectUser(onChange) {
  const field = element('person');
  const stored = document.cookie.split('; ').find((cookie) => cookie.startsWith(`${NAME_COOKIE}=`));
  field.defaultValue = new URLSearchParams(stored).get(NAME_COOKIE) || ''; // decodes any text
  field.onchange = () => {
    field.defaultValue = field.value; // Escape restores it
    const name = encodeURIComponent(field.value.trim());
    document.cookie = `${NAME_COOKIE}=${name}; path=/; max-age=31536000; SameSite=Strict`;
    field.blur(); // the next key is a shortcut again
    onChange();
  };
}

/** Let a button ask for a status and a note, and store them. Return the function that shows a status on the button.
 * @template {{status: ClipStatus, note: string}} V @param {HTMLButtonElement} button
 * @param {(status: ClipStatus, note: string, seen: V) => Promise<{error?: Error}>} store `seen`: what was shown
 * @param {Map<string, string>} drafts typed notes that are not stored, by clip @param {string} name of the clip */
export function connectStatus(button, store, drafts, name) {
  const change = async (/** @type {V} */ seen) => {
    const field = createElement('input', { type: 'text', maxLength: 100, value: drafts.get(name) ?? seen.note });
    field.oninput = () => (field.value === seen.note ? drafts.delete(name) : drafts.set(name, field.value));
    const others = STATUSES.filter((status) => status !== seen.status);
    const title = button.ariaLabel ?? 'Status'; // names the clip in a list, whose rows move
    const status = await ask(title, createElement('label', {}, 'Note ', field), seen.status, ...others);
    // the button Cancel drops the note; Escape keeps it
    if (status === '' || (status && !(await store(status, field.value.trim(), seen)).error)) drafts.delete(name);
  };
  return (/** @type {V} */ value) => {
    button.textContent = value.status + (value.note && `: ${value.note}`);
    button.onclick = () => change(value);
  };
}

export class ClipHeader {
  /** @param {import('./project.js').Project} project @param {import('./queue.js').EditQueue} queue */
  constructor(project, queue) {
    this.project = project;
    this.drafts = new Map(); // typed note of the status that is not stored
    this.showStatus = connectStatus(
      element('clip-status'), (status, note) => queue.setStatus({ status, note }), this.drafts, '');
  }

  show(/** @type {import('./protocol.js').Description} */ { shared }) {
    const isListed = new URL('..', location.href).pathname.endsWith('/clip/');
    for (const link of elements('clips', 'next-clip')) link.hidden = !isListed;
    // the list asks for the name, but a clip may be opened without it
    element('name-field').hidden = !shared || (isListed && element('person').value !== '');
  }

  async openNext() {
    if (element('clips').hidden) return;
    const clips = await fetchClips('../../').catch(showError);
    if ('error' in clips) return;
    const clip = findNext(clips, this.project.name);
    if (clip) location.assign(`../${encodeURIComponent(clip.name)}/`);
    else showMessage('No other clip needs work.');
  }
}
