/** Clips of a batch: list from the server, next clip, status and people of a clip; the user's name. */

import { fetchOrThrow } from './connection.js';
import { createElement, element, elements } from './dom.js';
import { formatStep } from './fields.js';
import { ask, showError, showMessage } from './messages.js';

/** @typedef {import('./protocol.js').Clip} Clip */
/** @typedef {Clip['status']} ClipStatus */
/** What a person sees of a clip before they change its status.
 * @typedef {Pick<Clip, 'status' | 'note' | 'author' | 'status_count' | 'annotator' | 'reviewer' | 'rejection'
 *   | 'gaps' | 'violations' | 'acceptance'>} Seen */
/** People to assign; null: unchanged. @typedef {{annotator: string | null, reviewer: string | null}} People */

const NAME_COOKIE = 'aotlab_person';

/** @type {ClipStatus[]} */
export const STATUSES = ['to do', 'in progress', 'to review', 'rejected', 'accepted'];

/** @param {string} base address of the batch @returns {Promise<Clip[]>} the most urgent first */
export const fetchClips = async (base) => (await fetchOrThrow(`${base}clips`)).json();

/** Return whether two names are those of one person, who may type it in capitals or not. */
export const isSamePerson = (/** @type {string} */ first, /** @type {string} */ second) => (
  first.localeCompare(second, undefined, { sensitivity: 'accent' }) === 0);

/** Return a typed name, in the spelling that the list knows. */
function readName(/** @type {HTMLInputElement} */ { value }) {
  const name = value.trim();
  return [...element('people').options].find((option) => isSamePerson(option.value, name))?.value ?? name;
}

/** Return the user's name; empty: not typed yet. */
export const getPerson = () => readName(element('person'));

/** Ask for the user's name; return whether it is there. @param {Event} [event] canceled without the name */
export function requireName(event) {
  if (getPerson()) return true;
  event?.preventDefault();
  showMessage('Type your name first, so that others see who has a clip open.', true);
  element('person').focus();
  return false;
}

/** Return whether a clip waits for a person: to be annotated, or to be reviewed. Without an annotator or reviewer, it
 * waits for everyone. @param {Clip} clip @param {string} person */
export function isWorkFor({ status, unreadable, annotator = '', reviewer = '', author = '' }, person) {
  if (unreadable || status === 'accepted') return false;
  if (status === 'to review' && !reviewer) return !author || !isSamePerson(author, person);
  if (status === 'to review') return isSamePerson(reviewer, person);
  return !annotator || isSamePerson(annotator, person);
}

/** Return the next clip that waits for a person: first one to annotate, then one to review. Clips in use are skipped.
 * @param {Clip[]} clips @param {string} name of the clip that shows; empty: the list */
export function findNext(clips, name = '', person = '') {
  const index = clips.findIndex((clip) => clip.name === name) + 1; // after this clip
  const others = [...clips.slice(index), ...clips.slice(0, index)].filter((clip) => (
    clip.name !== name && !clip.holder && isWorkFor(clip, person)));
  const isAssigned = (/** @type {Clip} */ clip) => (
    person !== '' && isSamePerson(person, (clip.status === 'to review' ? clip.reviewer : clip.annotator) ?? ''));
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

const [UNCHANGED, NOBODY] = ['unchanged', 'nobody']; // what an empty field of a person means

/** Return fields for the people of clips, and what has been typed.
 * @param {Pick<Clip, 'annotator' | 'reviewer'>[]} clips @returns {{lines: HTMLElement, read: () => People}} */
export function createPeopleFields(clips) {
  const createField = (/** @type {'annotator' | 'reviewer'} */ role) => {
    const [first, ...others] = new Set(clips.map((clip) => clip[role]));
    const value = others.length ? '' : first;
    const placeholder = value || others.length ? UNCHANGED : NOBODY;
    const field = createElement('input', { type: 'text', maxLength: 60, value, placeholder, autocomplete: 'off' });
    field.setAttribute('list', 'people');
    field.onfocus = () => field.select(); // a typed name replaces the old one
    const createButton = (/** @type {string} */ text, /** @type {() => object} */ getValues) => (
      createElement('button', { type: 'button', onclick: () => Object.assign(field, getValues()) }, text));
    const line = [createElement('label', {}, `${capitalize(role)} `, field),
      createButton('Me', () => ({ value: getPerson() })),
      createButton('Nobody', () => ({ value: '', placeholder: NOBODY }))];
    const read = () => {
      const name = readName(field);
      if (name === value && name) return null;
      return name || (field.placeholder === NOBODY ? '' : null);
    };
    return { line, read };
  };
  const [annotator, reviewer] = [createField('annotator'), createField('reviewer')];
  const lines = createElement('div', { className: 'people' }, ...annotator.line, ...reviewer.line);
  return { lines, read: () => ({ annotator: annotator.read(), reviewer: reviewer.read() }) };
}

/** Functions that store what a person changes in the dialog of a clip; `fetchHistory` returns lines, the newest first.
 * @template {Seen} V @typedef {{setStatus: (status: ClipStatus, note: string, seen: V) => Promise<{error?: Error}>,
 *   assign: (people: People) => Promise<{error?: Error}>,
 *   fetchHistory: () => Promise<string[]>}} ReviewActions */

/** Return the status that usually comes next: who may not accept a clip leaves it to the reviewer.
 * @param {Seen} seen */
function findNextStatus({ status, violations, acceptance: { reviewer, annotators } }) {
  const person = getPerson();
  const mayAccept = !violations.length && (!reviewer || isSamePerson(reviewer, person))
    && !annotators.some((name) => isSamePerson(name, person));
  return status === 'accepted' || (status === 'to review' && mayAccept) ? 'accepted' : 'to review';
}

/** Fields for status, note and people of a clip. @template {Seen} V */
class StatusDialog {
  /** @param {V} seen @param {string | undefined} draft typed note that is not stored
   * @param {ReviewActions<V>['fetchHistory']} fetchHistory */
  constructor(seen, draft, fetchHistory) {
    this.seen = seen; // what the person sees of the clip
    this.note = createElement('input', { type: 'text', maxLength: 500, value: draft ?? seen.note });
    this.state = createElement('p', { role: 'status' });
    this.gaps = createElement('p', { className: 'problem' });
    this.people = createPeopleFields([seen]);
    this.fetchHistory = fetchHistory;
    this.history = createElement('details', {}, createElement('summary', {}, 'History'));
    this.history.ontoggle = () => this.showHistory();
    this.main = /** @type {HTMLButtonElement | undefined} */ (undefined); // button that Enter presses
    const onclick = (/** @type {Event} */ event) => { event.preventDefault(); this.main?.click(); };
    const enter = createElement('button', { hidden: true, onclick }); // browsers let Enter press the first button
    this.content = createElement('div', { className: 'fields' }, enter, this.state, this.gaps,
      createElement('label', {}, 'Note ', this.note), this.people.lines, this.history);
    this.content.addEventListener('focusin', () => this.showDefault());
    this.show(seen);
  }

  /** Show which button Enter presses: the next status or, in a field of a person, the same one. */
  showDefault() {
    const isAssigning = this.people.lines.contains(document.activeElement);
    const status = isAssigning ? this.seen.status : findNextStatus(this.seen);
    const buttons = [...this.content.closest('form')?.querySelectorAll('button') ?? []];
    for (const button of buttons) button.classList.toggle('main', button.value === status);
    this.main = buttons.find(({ value }) => value === status);
  }

  /** Show what has changed since the dialog was opened. @param {V} value */
  show(value) {
    const { gaps, note, seen, state } = this;
    const isOther = value.status_count !== seen.status_count;
    if (isOther && note.value === seen.note) note.value = value.note;
    this.seen = value;
    state.textContent = describeStatus(value);
    state.classList.toggle('changed', isOther || state.classList.contains('changed'));
    gaps.textContent = [value.gaps, ...value.violations].filter(Boolean).join('; ');
    this.showDefault();
  }

  /** Require a note for a rejection, and show the default; call it when the dialog is open. */
  connect() {
    this.showDefault();
    const form = /** @type {HTMLElement} */ (this.content.closest('form'));
    form.addEventListener('click', ({ target }) => {
      const button = /** @type {Element} */ (target).closest('button');
      this.note.required = button?.value === 'rejected';
    });
  }

  async showHistory() {
    const lines = await this.fetchHistory().catch(showError);
    if ('error' in lines) return;
    this.history.replaceChildren(this.history.firstElementChild ?? '', createElement('ol', {}, ...lines.map((line) => (
      createElement('li', {}, line)))));
  }
}

/** Button that shows the status of a clip, and asks for status, note and people. @template {Seen} V */
export class StatusButton {
  /** @param {HTMLButtonElement} button @param {ReviewActions<V>} actions
   * @param {Map<string, string>} drafts typed notes that are not stored, by clip @param {string} name of the clip */
  constructor(button, actions, drafts, name) {
    this.button = button;
    this.actions = actions;
    this.drafts = drafts;
    this.name = name;
    this.shown = /** @type {V | null} */ (null);
    this.dialog = /** @type {StatusDialog<V> | null} */ (null); // while it is open
    button.onclick = () => this.change();
  }

  /** Show a status on the button, and in the open dialog. @param {V} value */
  show(value) {
    this.shown = value;
    this.button.textContent = value.status + (value.note && `: ${value.note}`);
    this.dialog?.show(value);
  }

  async change() {
    const { actions: { assign, fetchHistory, setStatus }, button, drafts, name, shown } = this;
    if (!shown) return;
    const dialog = this.dialog = new StatusDialog(shown, drafts.get(name), fetchHistory);
    const { note: field, people } = dialog;
    field.oninput = () => (field.value === dialog.seen.note ? drafts.delete(name) : drafts.set(name, field.value));
    const title = button.ariaLabel ?? 'Status'; // names the clip in a list, whose rows move
    const answer = ask(title, dialog.content, ...STATUSES);
    dialog.connect();
    const status = await answer;
    this.dialog = null;
    const { seen } = dialog;
    const [chosen, note] = [people.read(), field.value.trim()];
    const pairs = [[chosen.annotator, seen.annotator], [chosen.reviewer, seen.reviewer]];
    const isAssigned = pairs.some(([after, before]) => after !== null && after !== before);
    if (status && isAssigned && (await assign(chosen)).error) return;
    const isSame = status === seen.status && note === seen.note && isAssigned;
    // the button Cancel drops the note; Escape keeps it
    if (status === '' || isSame || (status && !(await setStatus(status, note, seen)).error)) drafts.delete(name);
  }
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
    /** @type {StatusButton<import('./protocol.js').PageState>} */
    this.status = new StatusButton(element('clip-status'), {
      setStatus: (status, note, seen) => queue.setStatus({ status, note, expected_status_count: seen.status_count }),
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
    if (element('clips').hidden || !requireName()) return;
    const clips = await fetchClips('../../').catch(showError);
    if ('error' in clips) return;
    const clip = findNext(clips, this.name, getPerson());
    if (clip) location.assign(`../${encodeURIComponent(clip.name)}/?next`);
    else showMessage('No other clip waits for you.');
  }
}
