/** List of the clips of a batch, those with the most frames to check first: state, tracking and export. */

import { fetchOrThrow, toError } from './connection.js';
import {
  addIcons, CoalescedTask, createElement, element, elements, findOptions, followOutputs, formatCount, formatDuration,
  setIcon, setLabel,
} from './dom.js';
import { isShortcut, onSubmit, RowList } from './fields.js';
import { clearErrorAfter, sendOrForce, showError, showMessage } from './messages.js';

/** @import { Answer, Clip, ExportedClips, Failure } from './protocol.js' */

const INTERVAL = 5000; // milliseconds between two refreshes
const UNREADABLE = 'not readable';
const STATES = ['to do', 'in progress', 'done'];

let clips = /** @type {Clip[]} */ ([]);
let isExporting = false;
let start = /** @type {{left: number, time: number} | null} */ (null); // when tracking began, and the frames left then
let hasFailed = false; // whether the list could not be read
/** @type {RowList<Clip>} */
const table = new RowList(element('clips'), ({ name }) => name, (clip) => new ClipRow(clip));
const fetchTask = new CoalescedTask(fetchList);

const problem = new URLSearchParams(location.search).get('problem'); // why a clip could not be opened
if (problem) showMessage(problem, true);
history.replaceState(null, '', location.pathname); // without the token
element('filter').append(...STATES.map((state) => new Option(state)));
for (const field of elements('search', 'filter', 'sort')) {
  field.value = sessionStorage.getItem(field.id) ?? ''; // as before a clip was opened
  field.oninput = showClips;
}
element('track-all').onclick = trackAll;
followOutputs(element('export-form'));
element('export').onclick = () => element('export-dialog').showModal();
onSubmit(element('export-start'), exportClips);
document.addEventListener('keydown', (event) => {
  const hasModifier = event.altKey || event.ctrlKey || event.metaKey;
  if (document.querySelector('dialog[open]') || hasModifier || !isShortcut(event)) return;
  const isTracking = clips.some((clip) => clip.tracking);
  if (event.key.toUpperCase() === 'T' && !isTracking && !element('track-all').hidden) trackAll();
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) moveFocus(event, by);
});
addIcons();
fetchTask.run();
setInterval(() => { if (!document.hidden) fetchTask.run(); }, INTERVAL);

/** Move the focus to the next or previous clip. @param {KeyboardEvent} event @param {number} by */
function moveFocus(event, by) {
  /** @type {NodeListOf<HTMLElement>} */
  const links = document.querySelectorAll('#clips th a');
  const row = document.activeElement?.closest('tr');
  links[Math.max(0, [...links].findIndex((link) => row?.contains(link)) + by)]?.focus();
  event.preventDefault();
}

async function fetchList() {
  try {
    clips = await (await fetchOrThrow('clips')).json();
    if (hasFailed) showMessage('');
    hasFailed = false;
    showClips();
  } catch (error) {
    if (!hasFailed) showError(error);
    hasFailed = true;
  }
}

const getState = (/** @type {Clip} */ { status, unreadable }) => (unreadable ? UNREADABLE : status);

function showClips() {
  for (const { id, value } of elements('search', 'filter', 'sort')) sessionStorage.setItem(id, value);
  const count = (/** @type {string} */ state) => clips.filter((clip) => getState(clip) === state).length;
  const counts = [...STATES, UNREADABLE].filter(count).map((state) => `${count(state)} ${state}`);
  const words = element('search').value.trim().toLowerCase();
  const shown = clips.filter(({ name, status }) => (
    name.toLowerCase().includes(words) && [status, ''].includes(element('filter').value)));
  const order = element('sort').value; // otherwise as the server sends them
  if (order === 'name') shown.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  if (order === 'state') shown.sort((a, b) => STATES.indexOf(a.status) - STATES.indexOf(b.status));
  const advice = clips.some((clip) => clip.objects) ? '' : 'Open a clip and draw an object, then press Track all.';
  const note = clips.length && !shown.length ? 'No clip matches “Find” and “Show”.' : advice;
  const waiting = clips.filter(({ exporting }) => exporting).length;
  if (isExporting) showMessage(`Exporting… ${formatCount(waiting, 'clip')} left.`);
  const cutOff = clips.filter((clip) => clip.cut_off).length;
  const interrupted = cutOff ? ` Tracking was interrupted; ${formatCount(cutOff, 'clip')} left.` : '';
  const progress = describeTracking() || interrupted;
  const isTracking = clips.some((clip) => clip.tracking);
  setLabel(element('track-all'), isTracking ? 'Stop tracking' : cutOff ? 'Resume tracking' : 'Track all');
  setIcon(element('track-all'), isTracking ? 'square' : 'arrow-left-right');
  element('track-all').title = isTracking ? 'Stop; tracked frames stay'
    : 'Track the clips with drawn masks that are not done (T)';
  element('summary').textContent = `${formatCount(clips.length, 'clip')}: ${counts.join(', ')}.${progress} ${note}`;
  element('track-all').hidden = !isTracking && !clips.some((clip) => clip.trackable);
  // rows do not move under the pointer
  const fixed = element('clips').matches(':hover') ? [...table.rows.keys()] : [];
  const names = new Set([...fixed, ...shown.map(({ name }) => name)]);
  table.show([...names].flatMap((name) => shown.filter((clip) => clip.name === name)));
}

/** Return the progress of *Track all*, with its rate and the time left; empty if it does not run. */
function describeTracking() {
  const tracked = clips.filter((clip) => clip.tracking);
  const left = tracked.reduce((sum, clip) => sum + clip.frames_left, 0);
  if (!tracked.length) start = null;
  else if (!start || left > start.left) start = { left, time: performance.now() };
  if (!start) return '';
  const rate = (1000 * (start.left - left)) / (performance.now() - start.time);
  const time = rate > 0 ? `, ${rate.toFixed(1)} frames/s, ${formatDuration(left / rate)} left` : '';
  return ` Tracking… ${formatCount(tracked.length, 'clip')} left: ${formatCount(left, 'frame')}${time}.`;
}

/** Row of a clip: its name, what to check, and its state. */
class ClipRow {
  /** @param {Clip} clip */
  constructor({ name }) {
    this.address = encodeURIComponent(name);
    this.image = createElement('img', { alt: '' });
    const link = createElement('a', { href: `clip/${this.address}/` }, this.image, createElement('span', {}, name));
    this.checks = createElement('ul', {});
    this.state = createElement('span', { className: 'status' });
    this.button = createElement('button', { ariaLabel: `Done: ${name}` }, 'Done');
    this.line = createElement('tr', {}, createElement('th', { scope: 'row' }, link),
      createElement('td', {}, this.checks),
      createElement('td', {}, createElement('div', { className: 'group' }, this.state, this.button)));
  }

  show(/** @type {Clip} */ clip) {
    const { address, button, checks, image, state } = this;
    const source = `thumbnail/${address}?digest=${clip.digest}`;
    if (image.getAttribute('src') !== source) image.src = source;
    image.hidden = clip.unreadable;
    state.textContent = getState(clip);
    state.style.borderLeftColor = `var(--${clip.status.replace(' ', '-')})`;
    button.ariaPressed = String(clip.status === 'done');
    button.onclick = () => this.setDone(clip.status !== 'done');
    const tracked = clip.tracked && !clip.messages.length ? ['tracked'] : [];
    const count = clip.frames_to_check ? [formatCount(clip.frames_to_check, 'frame')] : tracked;
    const texts = clip.exporting ? ['waits for export'] : clip.error ? [clip.error] : [...count, ...clip.messages];
    if (checks.textContent !== texts.join('')) { // selected text stays
      checks.replaceChildren(...texts.map((text) => createElement('li', {}, text)));
    }
  }

  /** Mark the clip as done, or as not done. @param {boolean} done */
  async setDone(done) {
    await clearErrorAfter(sendOrForce((values) => this.sendDone({ done, ...values })));
    await fetchTask.run();
  }

  async sendDone(/** @type {{done: boolean, force?: boolean}} */ message) {
    const answers = await post(`clip/${this.address}/edits`, [{ do: 'set_done', ...message }]);
    const [answer] = /** @type {(Answer | Failure)[]} */ (answers);
    if ('error' in answer) throw toError(answer);
  }
}

/** Track all clips, or stop that. */
async function trackAll() {
  const action = clips.some((clip) => clip.tracking) ? 'stop' : 'track';
  await clearErrorAfter(post(action, null).catch(showError));
  await fetchTask.run();
}

async function exportClips() {
  const outputs = [...new FormData(element('export-form')).keys()];
  const [dialog, message, folder] = [element('export-dialog'), element('export-message'), element('export-folder')];
  showMessage('Exporting…');
  message.textContent = '';
  element('export-start').disabled = isExporting = true;
  const body = { outputs, options: findOptions(), folder: folder.value.trim() };
  const result = await post('export', body).catch(showError);
  element('export-start').disabled = isExporting = false;
  fetchTask.run(); // no clip waits any more
  if (result.error) {
    message.textContent = result.error.message;
    if (dialog.open) showMessage('');
    return;
  }
  dialog.close();
  const { names, problems, left_out: leftOut } = /** @type {ExportedClips} */ (result);
  const lines = [...problems, ...(leftOut.length ? [`Left out: ${leftOut.join(', ')}.`] : [])];
  const target = body.folder || folder.placeholder;
  showMessage(`${formatCount(names.length, 'clip')} exported to ${target}.`, problems.length > 0,
    ...(lines.length ? [createElement('ul', {}, ...lines.map((text) => createElement('li', {}, text)))] : []));
}

async function post(/** @type {string} */ address, /** @type {object | null} */ body) {
  return (await fetchOrThrow(address, { method: 'POST', body: JSON.stringify(body) })).json();
}
