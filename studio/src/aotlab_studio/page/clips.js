/** Clips of a batch: list from the server, next clip, status and people of a clip; the user's name. */

import { fetchOrThrow } from './connection.js';
import { createElement, element, elements } from './dom.js';
import { formatStep } from './fields.js';
import { ask, showError, showMessage } from './messages.js';

/** @typedef {import('./protocol.js').Clip} Clip */
/** @typedef {Clip['status']} ClipStatus */
/** What a person sees of a clip before they change its status.
 * @typedef {Pick<Clip, 'status' | 'note' | 'author' | 'status_count' | 'annotator' | 'reviewer' | 'rejection'
 *   | 'gaps' | 'missing'>} Seen */

const NAME_COOKIE = 'aotlab_person';

/** @type {ClipStatus[]} */
export const STATUSES = ['to do', 'in work', 'to review', 'rejected', 'accepted'];

/** @param {string} base address of the batch @returns {Promise<Clip[]>} the most urgent first */
export const fetchClips = async (base) => (await fetchOrThrow(`${base}clips`)).json();

/** Return the user's name; empty: not typed yet. */
export const getPerson = () => element('person').value.trim();

/** Return whether two names are those of one person, who may type it in capitals or not. */
export const isSamePerson = (/** @type {string} */ first, /** @type {string} */ second) => (
  first.toLowerCase() === second.toLowerCase());

/** Return whether a clip waits for a person: to be annotated, or to be reviewed. A rejected one waits for the person
 * who is assigned. @param {Clip} clip @param {string} person */
export function isWorkFor({ status, annotator = '', reviewer = '', author = '' }, person) {
  if (status === 'to review') return reviewer ? reviewer === person : !author || author !== person;
  if (status === 'rejected') return annotator !== '' && annotator === person;
  return status !== 'accepted' && [person, ''].includes(annotator);
}

/** Return the next clip that waits for a person: first one to annotate, then one to review. Clips in use are skipped.
 * @param {Clip[]} clips @param {string} name of the clip that shows; empty: the list */
export function findNext(clips, name = '', person = '') {
  const index = clips.findIndex((clip) => clip.name === name) + 1; // after this clip
  const others = [...clips.slice(index), ...clips.slice(0, index)].filter((clip) => (
    clip.name !== name && !clip.holder && isWorkFor(clip, person)));
  const isAssigned = (/** @type {Clip} */ clip) => (
    person !== '' && person === (clip.status === 'to review' ? clip.reviewer : clip.annotator));
  return others.find(isAssigned) ?? others.find((clip) => clip.status !== 'to review') ?? others[0];
}

/** Show the user's name in its field, and store it when it changes. @param {() => void} onChange */
export function connectUser(onChange) {
  const field = element('person');
  const stored = document.cookie.split('; ').find((cookie) => cookie.startsWith(`${NAME_COOKIE}=`));
  field.defaultValue = new URLSearchParams(stored).get(NAME_COOKIE) || ''; // decodes any text
  field.onchange = () => {
    field.defaultValue = field.value; // Escape restores it
    document.cookie = `${NAME_COOKIE}=${encodeURIComponent(getPerson())}; path=/; max-age=31536000; SameSite=Strict`;
    field.blur(); // the next key is a shortcut again
    onChange();
  };
}

/** Return who set a status, and why; a rejection stays until the next status. @param {Seen} seen */
const describeStatus = ({ status, note, author, rejection }) => (
  status === 'rejected' ? rejection : status + (author && ` by ${author}`) + (note && `: ${note}`)
    + (rejection && ` · ${rejection}`));

/** Return fields for the people of a clip, and their values. @param {Pick<Clip, 'annotator' | 'reviewer'>} clip */
export function createPeopleFields(clip) {
  const [annotator, reviewer] = [clip.annotator, clip.reviewer].map((value) => (
    createElement('input', { type: 'text', maxLength: 60, value, autocomplete: 'off' })));
  annotator.setAttribute('list', 'people');
  reviewer.setAttribute('list', 'people');
  const take = (/** @type {HTMLInputElement} */ field) => (
    createElement('button', { type: 'button', onclick: () => { field.value = getPerson(); } }, 'Me'));
  const lines = createElement('div', { className: 'people' },
    createElement('label', {}, 'Annotator ', annotator), take(annotator),
    createElement('label', {}, 'Reviewer ', reviewer), take(reviewer));
  return { lines, read: () => ({ annotator: annotator.value.trim(), reviewer: reviewer.value.trim() }) };
}

/** Functions that store what a person changes in the dialog of a clip; `fetchHistory` returns lines, the newest first.
 * @template {Seen} V @typedef {{setStatus: (status: ClipStatus, note: string, seen: V) => Promise<{error?: Error}>,
 *   assign: (people: {annotator: string, reviewer: string}) => Promise<{error?: Error}>,
 *   fetchHistory: () => Promise<string[]>}} ReviewActions */

/** Let a button ask for status, note and people. Return the function that shows a status on the button, and in the
 * open dialog. @template {Seen} V @param {HTMLButtonElement} button @param {ReviewActions<V>} actions
 * @param {Map<string, string>} drafts typed notes that are not stored, by clip @param {string} name of the clip */
export function connectStatus(button, { setStatus, assign, fetchHistory }, drafts, name) {
  let shown = /** @type {V | null} */ (null);
  let updateDialog = () => {};
  const change = async () => {
    let seen = /** @type {V} */ (shown);
    const field = createElement('input', { type: 'text', maxLength: 500, value: drafts.get(name) ?? seen.note });
    field.oninput = () => (field.value === seen.note ? drafts.delete(name) : drafts.set(name, field.value));
    const [state, gaps] = [createElement('p', { role: 'status' }), createElement('p', { className: 'problem' })];
    const people = createPeopleFields(seen);
    const history = createElement('details', {}, createElement('summary', {}, 'History'));
    history.ontoggle = async () => {
      const lines = await fetchHistory().catch(showError);
      if ('error' in lines) return;
      history.replaceChildren(history.firstElementChild ?? '', createElement('ol', {}, ...lines.map((line) => (
        createElement('li', {}, line)))));
    };
    const list = () => [seen.status, ...STATUSES.filter((status) => status !== seen.status)];
    const note = createElement('label', {}, 'Note ', field);
    const content = createElement('div', { className: 'fields' }, state, gaps, note, people.lines, history);
    const title = button.ariaLabel ?? 'Status'; // names the clip in a list, whose rows move
    updateDialog = () => {
      if (!shown) return;
      const isOther = shown.status_count !== seen.status_count;
      if (isOther && field.value === seen.note) field.value = shown.note;
      seen = shown;
      state.textContent = describeStatus(seen);
      state.classList.toggle('changed', isOther || state.classList.contains('changed'));
      gaps.textContent = [seen.gaps, ...seen.missing].filter(Boolean).join('; ');
      const buttons = content.closest('form')?.querySelectorAll('button[value]:not([value=""])') ?? [];
      list().forEach((status, index) => {
        if (!buttons[index]) return;
        buttons[index].setAttribute('value', status);
        buttons[index].textContent = capitalize(status);
      });
    };
    updateDialog();
    const status = await ask(title, content, ...list());
    updateDialog = () => {};
    const chosen = people.read();
    const isAssigned = chosen.annotator !== seen.annotator || chosen.reviewer !== seen.reviewer;
    if (status && isAssigned && (await assign(chosen)).error) return;
    const isSame = status === seen.status && field.value.trim() === seen.note && isAssigned;
    // the button Cancel drops the note; Escape keeps it
    if (status === '' || isSame || (status && !(await setStatus(status, field.value.trim(), seen)).error)) {
      drafts.delete(name);
    }
  };
  button.onclick = change;
  return (/** @type {V} */ value) => {
    shown = value;
    button.textContent = value.status + (value.note && `: ${value.note}`);
    updateDialog();
  };
}

export const capitalize = (/** @type {string} */ text) => text[0].toUpperCase() + text.slice(1);

/** Return the name of the clip at an address; empty: it is not one of a list. */
const getClipName = (/** @type {string} */ address) => {
  const encoded = /\/clip\/([^/]+)\/$/.exec(new URL('.', address).pathname)?.[1];
  return encoded ? decodeURIComponent(encoded) : '';
};

export class ClipHeader {
  /** @param {Pick<import('./main.js').App, 'queue'>} app */
  constructor({ queue }) {
    this.name = getClipName(location.href); // in the list; the name of the project may be that of its video
    this.drafts = new Map(); // typed note of the status that is not stored
    /** Show status and people. @type {(state: import('./protocol.js').PageState) => void} */
    this.showStatus = connectStatus(element('clip-status'), {
      setStatus: (status, note, seen) => queue.setStatus({ status, note, seen: seen.status_count }),
      assign: (people) => queue.edit('assign', people),
      fetchHistory: async () => {
        const { error, result } = await queue.send('list_history', {});
        if (error) throw error;
        return result.map(formatStep);
      },
    }, this.drafts, '');
  }

  show(/** @type {import('./protocol.js').Description} */ { shared }) {
    for (const link of elements('clips', 'next-clip')) link.hidden = !this.name;
    // the list asks for the name, but a clip may be opened without it
    element('name-field').hidden = !shared || (this.name !== '' && element('person').value !== '');
  }

  async openNext() {
    if (element('clips').hidden) return;
    const clips = await fetchClips('../../').catch(showError);
    if ('error' in clips) return;
    const clip = findNext(clips, this.name, getPerson());
    if (clip) location.assign(`../${encodeURIComponent(clip.name)}/`);
    else showMessage('No other clip waits for you.');
  }
}
