/** List of the clips of a batch, the most urgent first: status, people and export of one clip or of several. */

import {
  capitalize, connectUser, createPeopleFields, fetchClips, findNext, getPerson, isSamePerson, isWorkFor, requireName,
  StatusButton, STATUSES,
} from './clips.js';
import { fetchOrThrow, toError } from './connection.js';
import { addIcons, CoalescedTask, createElement, element, elements, formatCount, showKey } from './dom.js';
import { formatStep, isShortcut, onSubmit, RowList } from './fields.js';
import { ask, askUntil, CANCELED, clearErrorAfter, sendOrForce, showError, showMessage } from './messages.js';
import { SchemaForm } from './schema.js';

/** @import { Actions, Answer, Clip, Failure, Rules, StepInfo } from './protocol.js' */
/** @typedef {Clip['status']} ClipStatus */

const INTERVAL = 5000; // milliseconds between two refreshes
const UNREADABLE = 'not readable';
const MINE = 'mine'; // filter of the clips that wait for the user

let clips = /** @type {Clip[]} */ ([]);
let isBusy = false; // while several clips are changed
let hasFailed = false; // whether the list could not be read
let editedName = ''; // of the clip whose dialog is open; its row stays in the list
const selected = /** @type {Set<string>} */ (new Set()); // names of clips
const drafts = /** @type {Map<string, string>} */ (new Map()); // typed notes that are not stored, by clip
/** @type {RowList<Clip>} */
const table = new RowList(element('clips'), ({ name }) => name, (clip) => new ClipRow(clip));
const fetchTask = new CoalescedTask(fetchList);

/** Keys, and the buttons that do the same. @type {[string, keyof import('./protocol.js').Elements, () => unknown][]} */
const ACTIONS = [
  ['>', 'next-clip', openNext],
  ['A', 'accept', () => setStatuses('accepted')],
  ['S', 'to-review', () => setStatuses('to review')],
  ['R', 'reject', () => setStatuses('rejected')],
  ['P', 'assign', () => assignSelected()],
  ['M', 'mine', () => { element('filter').value = element('filter').value === MINE ? '' : MINE; applyFilter(); }],
  ['V', 'sheet', () => showSheet()],
  ['T', 'track-all', () => { if (!element('track-all').hidden) trackAll(); }],
  ['Ctrl+A', 'select-all', () => selectAll()],
  ['?', 'help', () => element('help-dialog').showModal()],
];

const parameters = new URLSearchParams(location.search);
const problem = parameters.get('problem'); // why a clip could not be opened
if (problem) showMessage(problem, true);
history.replaceState(null, '', location.pathname); // without the token
connectUser(() => { showMessage(''); showClips(); });
element('filter').append(new Option('mine', MINE), ...STATUSES.map((status) => new Option(status)));
for (const field of elements('search', 'filter')) {
  field.value = sessionStorage.getItem(field.id) ?? ''; // as before a clip was opened
  field.oninput = applyFilter;
}
addEventListener('beforeunload', (event) => clips.some(({ name }) => drafts.has(name)) && event.preventDefault());
element('rules').onclick = () => changeRules().catch(showError);
onSubmit(element('export-clips'), exportClips);
element('keys').append(...[...ACTIONS.map(([key, id]) => [key, element(id).title]), ['Escape', 'Select no clip']]
  .map(([key, text]) => createElement('li', {}, createElement('kbd', {}, key), createElement('span', {}, text))));
for (const [key, id, run] of ACTIONS) {
  element(id).onclick = run;
  showKey(element(id), key);
}
document.addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]') || event.altKey || !isShortcut(event)) return;
  if (moveFocus(event)) return;
  if (event.key === 'Escape') {
    selected.clear();
    showClips();
  }
  const typed = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const name = (event.ctrlKey || event.metaKey ? 'Ctrl+' : '') + typed;
  const action = ACTIONS.find(([key]) => key === name);
  if (!action) return;
  event.preventDefault(); // the name's field may get the focus
  if (!event.repeat) action[2]();
});
addIcons();
fetchTask.run();
if (parameters.has('next')) openNext();
setInterval(() => { if (!document.hidden) fetchTask.run(); }, INTERVAL);

/** Move the focus to the box of the next or previous clip; return whether the key does that. */
function moveFocus(/** @type {KeyboardEvent} */ event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.ctrlKey || event.metaKey) return false;
  const boxes = [...document.querySelectorAll('#clips [type=checkbox]')];
  const row = document.activeElement?.closest('tr');
  const index = boxes.findIndex((box) => row?.contains(box));
  const next = /** @type {HTMLElement | undefined} */ (boxes[Math.max(0, index + by)]);
  next?.focus();
  event.preventDefault();
  return true;
}

async function fetchList() {
  try {
    clips = await fetchClips('');
    if (hasFailed) showMessage('');
    hasFailed = false;
    showClips();
  } catch (error) {
    if (!hasFailed) showError(error);
    hasFailed = true;
  }
}

const getState = (/** @type {Clip} */ { status, unreadable }) => (unreadable ? UNREADABLE : status);

/** Return the clips that “Find” and “Show” let through. */
function filterClips() {
  const filter = element('filter').value;
  const words = element('search').value.trim().toLowerCase();
  return clips.filter((clip) => clip.name === editedName || (clip.name.toLowerCase().includes(words)
    && (filter === MINE ? isWorkFor(clip, getPerson()) : [clip.status, ''].includes(filter))));
}

function applyFilter() {
  if (element('filter').value === MINE && !requireName()) element('filter').value = '';
  showClips();
}

function showClips() {
  for (const { id, value } of elements('search', 'filter')) sessionStorage.setItem(id, value);
  const count = (/** @type {string} */ state) => clips.filter((clip) => getState(clip) === state).length;
  const counts = [...STATUSES, UNREADABLE].filter(count).map((state) => `${count(state)} ${state}`);
  const advice = clips.some((clip) => clip.objects)
    ? 'Most urgent first.' : 'Open a clip and draw an object, then press Track all.';
  const shown = filterClips();
  const note = clips.length && !shown.length ? 'No clip matches “Find” and “Show”.' : advice;
  const waiting = clips.filter(({ exporting }) => exporting).length;
  if (element('export-clips').disabled) showMessage(`Exporting… ${formatCount(waiting, 'clip')} left.`);
  const tracking = clips.filter((clip) => clip.tracking).length;
  const progress = tracking ? ` Tracking… ${formatCount(tracking, 'clip')} left.` : '';
  element('summary').textContent = `${formatCount(clips.length, 'clip')}: ${counts.join(', ')}.${progress} ${note}`;
  element('track-all').hidden = !clips.some((clip) => clip.trackable);
  element('mine').ariaPressed = String(element('filter').value === MINE);
  const people = new Set(clips.flatMap(({ annotator, reviewer, author }) => [annotator, reviewer, author]));
  people.delete('');
  element('people').replaceChildren(...[...people].sort().map((value) => createElement('option', { value })));
  for (const name of selected) if (!shown.some((clip) => clip.name === name)) selected.delete(name);
  // rows do not move under the pointer
  const order = element('clips').matches(':hover') ? [...table.rows.keys()] : [];
  const names = new Set([...order, ...shown.map(({ name }) => name)]);
  table.show([...names].flatMap((name) => shown.filter((clip) => clip.name === name)));
  showSelection();
}

function showSelection() {
  const count = selected.size;
  element('selection-count').textContent = count ? `${formatCount(count, 'clip')} selected` : 'Select clips:';
  for (const button of elements('accept', 'to-review', 'reject', 'assign', 'sheet')) button.disabled = !selected.size;
}

function selectAll() {
  const names = filterClips().map(({ name }) => name);
  const isOn = names.some((name) => !selected.has(name));
  for (const name of names) if (isOn) selected.add(name); else selected.delete(name);
  showClips();
}

/** Return the selected clips in the order of the list; none while a change of several clips runs. */
const listSelected = () => clips.filter(({ name }) => selected.has(name) && !isBusy);

/** Carry out an action in a clip; throw its error. @template {keyof Actions} A
 * @param {string} name @param {A} action @param {Actions[A]['message']} message @returns {Promise<{error?: Error}>} */
async function sendEdit(name, action, message) {
  const address = `clip/${encodeURIComponent(name)}/edits`;
  const [result] = /** @type {(Answer | Failure)[]} */ (await post(address, [{ do: action, ...message }]));
  if ('error' in result) throw toError(result);
  return {};
}

/** Return the error of a request; undefined: it succeeded.
 * @param {Promise<unknown>} request @returns {Promise<import('./connection.js').RequestError | undefined>} */
const catchError = (request) => request.then(() => undefined, (error) => error);

/** Store a status of a clip as it was listed. @param {Clip} clip @param {Actions['set_status']['message']} values */
const storeStatus = ({ name, digest, status_count: expected }, values) => (
  sendEdit(name, 'set_status', { digest, expected_status_count: expected, ...values }));

/** Set the status of all selected clips, with one note; ask once about those that are not finished. Clips that refuse
 * it stay selected. @param {ClipStatus} status */
async function setStatuses(status) {
  const chosen = listSelected();
  if (!chosen.length || !requireName()) return;
  const field = createElement('input', { type: 'text', maxLength: 500, required: status === 'rejected' });
  const label = createElement('label', {}, 'Note ', field);
  if (!(await ask(`${capitalize(status)}: ${formatCount(chosen.length, 'clip')}`, label, status))) return;
  const message = { status, note: field.value.trim() };
  const unfinished = /** @type {Map<Clip, string>} */ (new Map()); // with the reasons
  const problems = await runForEach(chosen, status, async (clip) => {
    const error = await catchError(storeStatus(clip, message));
    if (!error?.unfinished) return error;
    unfinished.set(clip, error.message);
    return undefined;
  });
  const lines = [...unfinished].map(([{ name }, text]) => createElement('li', {}, `${name}: ${text}`));
  const title = `${formatCount(unfinished.size, 'clip')} not finished`;
  const list = createElement('ul', { className: 'problem' }, ...lines);
  const isForced = unfinished.size > 0 && Boolean(await ask(title, list, 'proceed'));
  problems.push(...await runForEach([...unfinished.keys()], status, async (clip) => (
    isForced ? catchError(storeStatus(clip, { ...message, force: true }))
      : new Error(`${clip.name}: not ${status}`))));
  await showEnd(chosen, problems, status);
}

async function assignSelected() {
  const chosen = listSelected();
  if (!chosen.length || !requireName()) return;
  const people = createPeopleFields(chosen);
  if (!(await ask(`Assign ${formatCount(chosen.length, 'clip')}`, people.lines, 'assign'))) return;
  const assign = (/** @type {(clip: Clip) => import('./clips.js').People} */ getPeople) => (
    runForEach(chosen, 'assigned', (clip) => catchError(sendEdit(clip.name, 'assign', getPeople(clip)))));
  const { annotator, reviewer } = people.read();
  const problems = await assign(() => ({ annotator, reviewer }));
  const onclick = async () => {
    const failed = await assign((clip) => ({
      annotator: annotator === null ? null : clip.annotator, reviewer: reviewer === null ? null : clip.reviewer,
    }));
    await showEnd(chosen, failed, 'assigned as before');
  };
  await showEnd(chosen, problems, 'assigned', createElement('button', { onclick }, 'Undo'));
}

/** Run a task for each clip, one after the other; return name and message of each error. @param {Clip[]} chosen
 * @param {string} done what the clips are then @param {(clip: Clip) => Promise<Error | undefined>} task */
async function runForEach(chosen, done, task) {
  const problems = /** @type {[string, string][]} */ ([]);
  isBusy = true;
  for (const [index, clip] of chosen.entries()) {
    showMessage(`${index} of ${formatCount(chosen.length, 'clip')} ${done}…`);
    const error = await task(clip);
    if (error) problems.push([clip.name, error.message]);
  }
  isBusy = false;
  return problems;
}

/** Show what has been done with clips, and what failed; the failed ones stay selected.
 * @param {Clip[]} chosen @param {[string, string][]} problems @param {string} done @param {HTMLElement[]} buttons */
async function showEnd(chosen, problems, done, ...buttons) {
  const failed = new Set(problems.map(([name]) => name));
  for (const { name } of chosen) if (!failed.has(name)) selected.delete(name);
  const lines = createElement('ul', {}, ...problems.map(([, text]) => createElement('li', {}, text)));
  showClips(); // the message comes last
  const count = formatCount(chosen.length - failed.size, 'clip');
  showMessage(`${count} ${done}.`, failed.size > 0, ...(failed.size ? [lines] : []), ...buttons);
  await fetchTask.run();
}

/** Show frames of the selected clips, by which a person sees at a glance what is wrong; each opens its clip. */
async function showSheet() {
  element('sheets').replaceChildren();
  element('sheet-dialog').showModal();
  for (const { name, digest, frames } of listSelected()) {
    const address = encodeURIComponent(name);
    const answer = await fetchOrThrow(`sheet/${address}`).catch(showError);
    const indices = /** @type {number[]} */ ('error' in answer ? [] : await answer.json());
    const links = indices.map((index) => {
      const src = `thumbnail/${address}/${index}?digest=${digest}`;
      const image = createElement('img', { alt: '', loading: 'lazy', src });
      const link = createElement('a', { href: `clip/${address}/?frame=${index}` }, image, `frame ${index}`);
      link.onclick = (event) => requireName(event);
      return link;
    });
    element('sheets').append(createElement('section', {},
      createElement('h3', {}, `${name}: ${formatCount(frames, 'frame')}`),
      createElement('div', { className: 'sheet' }, ...links)));
  }
}

/** Show the rules of the list; only its lead can change them. */
async function changeRules() {
  if (!requireName()) return;
  const rules = /** @type {Rules} */ (await (await fetchOrThrow('rules')).json());
  const list = createElement('select', {},
    new Option('anyone', 'anyone'), new Option('people who have not drawn in the clip', 'others'),
    new Option('only the assigned reviewer, who must not have drawn in it', 'reviewer'));
  list.value = rules.accept;
  const schema = new SchemaForm(rules.classes);
  const isLead = !rules.lead || isSamePerson(rules.lead, getPerson());
  const lead = createElement('p', {}, !isLead ? `Only ${rules.lead}, the lead, may change the rules.`
    : rules.lead ? 'You are the lead, who may change the rules.'
      : 'Whoever stores the rules first becomes the lead, who may change them.');
  const note = createElement('p', {}, 'Names are as typed: nothing checks who types them.');
  const rule = createElement('label', {}, 'A clip may be accepted by ', list);
  const content = createElement('div', { className: 'fields' }, lead, rule, note, schema.content);
  const values = isLead ? /** @type {const} */ (['store']) : [];
  if (!isLead) {
    /** @type {NodeListOf<HTMLInputElement>} */
    const fields = content.querySelectorAll('input, select, textarea, button');
    for (const field of fields) field.disabled = true;
  }
  const store = async () => {
    try {
      await post('rules', { ...rules, accept: list.value, classes: schema.read() });
      return true;
    } catch (/** @type {any} */ error) {
      schema.problem.textContent = error.message;
      return false;
    }
  };
  if (await askUntil(store, 'Rules of this list', content, ...values)) showMessage('Rules stored.');
}

/** Row of a clip: its name, what to check, status and people. */
class ClipRow {
  /** @param {Clip} clip */
  constructor({ name }) {
    const address = encodeURIComponent(name);
    this.name = name;
    this.page = `clip/${address}/`;
    this.thumbnail = `thumbnail/${address}`;
    this.box = createElement('input', { type: 'checkbox', ariaLabel: `Select ${name}` });
    this.box.onchange = () => {
      if (this.box.checked) selected.add(name); else selected.delete(name);
      showSelection();
    };
    this.image = createElement('img', { alt: '', loading: 'lazy' });
    const link = createElement('a', { href: this.page }, this.image, createElement('span', {}, name));
    link.onclick = (event) => requireName(event);
    this.checks = createElement('ul', {});
    this.button = createElement('button', { className: 'status' });
    this.reason = createElement('p', { className: 'reason' });
    this.people = createElement('td', {});
    /** @type {StatusButton<Clip>} */
    this.status = new StatusButton(this.button, {
      setStatus: (status, note, clip) => this.change(() => clearErrorAfter(sendOrForce((values) => (
        storeStatus(clip, { status, note, ...values }))))),
      assign: (people) => this.change(() => sendEdit(name, 'assign', people).catch(showError)),
      fetchHistory: async () => {
        const steps = /** @type {StepInfo[]} */ (await (await fetchOrThrow(`history/${address}`)).json());
        return steps.map(formatStep);
      },
    }, drafts, name);
    this.button.onclick = async () => {
      editedName = name;
      await this.status.change();
      editedName = '';
      showClips();
    };
    this.line = createElement('tr', {}, createElement('td', {}, this.box),
      createElement('th', { scope: 'row' }, link), createElement('td', {}, this.checks),
      createElement('td', {}, this.button, this.reason), this.people);
  }

  /** Change the clip under the user's name, and show the result.
   * @param {() => Promise<{error?: Error}>} run @returns {Promise<{error?: Error}>} */
  async change(run) {
    const answer = requireName() ? await run() : { error: CANCELED };
    await fetchTask.run();
    return answer;
  }

  show(/** @type {Clip} */ clip) {
    const { box, button, image, name, reason, thumbnail } = this;
    box.checked = selected.has(name);
    const source = `${thumbnail}?digest=${clip.digest}`;
    if (image.getAttribute('src') !== source) image.src = source;
    this.status.show(clip);
    image.hidden = clip.unreadable;
    button.textContent = getState(clip);
    button.ariaLabel = `Status of ${name}: ${getState(clip)}${clip.note && `: ${clip.note}`}`;
    button.style.borderLeftColor = `var(--${clip.status.replace(' ', '-')})`;
    reason.textContent = clip.status === 'rejected' ? clip.note : clip.note || clip.rejection;
    this.showChecks(clip);
    replaceChanged(this.people, [
      clip.holder && `in use by ${clip.holder}`, clip.annotator && `annotator: ${clip.annotator}`,
      clip.reviewer && `reviewer: ${clip.reviewer}`, clip.holder ? '' : clip.author && `last: ${clip.author}`,
    ].filter(Boolean).map((text) => createElement('div', {}, text)));
  }

  showChecks(/** @type {Clip} */ clip) {
    const progress = clip.exporting ? ['waits for export'] : clip.sentences;
    const texts = [...(clip.error ? [clip.error] : progress), ...(clip.gaps ? [clip.gaps] : []), ...clip.violations];
    replaceChanged(this.checks, texts.map((text) => createElement('li', {}, text)));
  }
}

/** Show other lines in an element, unless their text is the same: selected text stays.
 * @param {HTMLElement} parent @param {HTMLElement[]} lines */
function replaceChanged(parent, lines) {
  const text = lines.map(({ textContent }) => textContent).join('');
  if (parent.textContent !== text) parent.replaceChildren(...lines);
}

async function trackAll() {
  if (!requireName()) return;
  await clearErrorAfter(post('track', null).catch(showError));
  await fetchTask.run();
}

async function exportClips() {
  const formats = [...new FormData(element('export-form')).keys()];
  showMessage(formats.length ? 'Exporting…' : 'Choose a format first.', !formats.length);
  if (!formats.length || !requireName()) return;
  element('export-clips').disabled = true;
  const refine = element('export-refine').checked;
  const result = await post('export', { outputs: formats, refine_edges: refine }).catch(showError);
  element('export-clips').disabled = false;
  if (result.error) return;
  const { names, problems, left_out: leftOut } = result;
  const lines = [...problems, ...(leftOut.length ? [`Left out: ${leftOut.join(', ')}.`] : [])];
  showMessage(`${formatCount(names.length, 'clip')} exported.`, problems.length > 0,
    ...(lines.length ? [createElement('ul', {}, ...lines.map((text) => createElement('li', {}, text)))] : []));
}

async function post(/** @type {string} */ address, /** @type {object | null} */ body) {
  return (await fetchOrThrow(address, { method: 'POST', body: JSON.stringify(body) })).json();
}

async function openNext() {
  if (!requireName()) return;
  await fetchTask.run(); // others may have opened or finished clips
  const clip = findNext(clips, '', getPerson());
  if (clip) location.assign(`clip/${encodeURIComponent(clip.name)}/?next`);
  else if (!hasFailed) showMessage('No clip waits for you.');
}
