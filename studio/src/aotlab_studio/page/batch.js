/** List of the clips of a batch, the most urgent first. */

import { connectStatus, connectUser, fetchClips, findNext, STATUSES } from './clips.js';
import { fetchOrThrow, toError } from './connection.js';
import { addIcons, CoalescedTask, createElement, element, elements, formatCount } from './dom.js';
import { isShortcut, onSubmit, RowList } from './fields.js';
import { CANCELED, clearErrorAfter, sendOrAsk, showError, showMessage } from './messages.js';

/** @typedef {import('./protocol.js').Clip} Clip */

const INTERVAL = 5000; // milliseconds between two refreshes

let clips = /** @type {Clip[]} */ ([]);
let hasFailed = false; // whether the list could not be read
const drafts = /** @type {Map<string, string>} */ (new Map()); // typed notes that are not stored, by clip
/** @type {RowList<Clip>} */
const table = new RowList(element('clips'), ({ name }) => name, createRow);
const fetchTask = new CoalescedTask(fetchList);

const problem = new URLSearchParams(location.search).get('problem'); // why a clip could not be opened
if (problem) showMessage(problem, true);
history.replaceState(null, '', location.pathname); // without the token
connectUser(() => showMessage(''));
element('filter').append(...STATUSES.map((status) => new Option(status)));
for (const field of elements('search', 'filter')) {
  field.value = sessionStorage.getItem(field.id) ?? ''; // as before a clip was opened
  field.oninput = showClips;
}
addEventListener('beforeunload', (event) => clips.some(({ name }) => drafts.has(name)) && event.preventDefault());
element('next-clip').onclick = openNext;
element('track-all').onclick = trackAll;
onSubmit(element('export-clips'), exportClips);
document.addEventListener('keydown', (event) => {
  if (event.key !== '>' || document.querySelector('dialog[open]') || !isShortcut(event)) return;
  event.preventDefault(); // the name's field may get the focus
  openNext();
});
addIcons();
fetchTask.run();
setInterval(() => { if (!document.hidden) fetchTask.run(); }, INTERVAL);

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

function showClips() {
  for (const { id, value } of elements('search', 'filter')) sessionStorage.setItem(id, value);
  const count = (/** @type {string} */ status) => clips.filter((clip) => clip.status === status).length;
  const counts = STATUSES.filter(count).map((status) => `${count(status)} ${status}`);
  const advice = clips.some((clip) => clip.objects)
    ? 'Most urgent first.' : 'Open a clip and draw an object, then press Track all.';
  const filter = element('filter').value;
  const words = element('search').value.trim().toLowerCase();
  const shown = clips.filter((clip) => [clip.status, ''].includes(filter) && clip.name.toLowerCase().includes(words));
  const note = clips.length && !shown.length ? 'No clip matches “Find” and “Show”.' : advice;
  const waiting = clips.filter(({ sentences }) => sentences.includes('waits for export')).length;
  if (element('export-clips').disabled) showMessage(`Exporting… ${formatCount(waiting, 'clip')} left.`);
  element('summary').textContent = `${formatCount(clips.length, 'clip')}: ${counts.join(', ')}. ${note}`;
  element('track-all').hidden = !clips.some((clip) => clip.untracked);
  // rows do not move under the pointer
  const order = element('clips').matches(':hover') ? [...table.rows.keys()] : [];
  const names = new Set([...order, ...shown.map(({ name }) => name)]);
  table.show([...names].flatMap((name) => shown.filter((clip) => clip.name === name)));
}

/** @param {Clip} clip @returns {{line: HTMLElement, show: (clip: Clip) => void}} */
function createRow({ name }) {
  const address = encodeURIComponent(name);
  const image = createElement('img', { alt: '', loading: 'lazy' });
  const link = createElement('a', { href: `clip/${address}/` }, image, createElement('span', {}, name));
  link.onclick = (event) => requireName(event);
  const checks = createElement('ul', {});
  const button = createElement('button', { className: 'status' });
  const [statusCell, personCell] = [createElement('td', {}, button), createElement('td', {})];
  const showStatus = connectStatus(button, async (value, note, /** @type {Clip} */ { digest }) => {
    const edit = { do: 'set_status', status: value, note, digest };
    const store = async (/** @type {object=} */ choice) => {
      const [result] = await post(`clip/${address}/edits`, [{ ...edit, ...choice }]);
      if ('error' in result) throw toError(result);
      return result;
    };
    const answer = requireName() ? await clearErrorAfter(sendOrAsk(store)) : { error: CANCELED };
    await fetchTask.run();
    return answer;
  }, drafts, name);
  const show = (/** @type {Clip} */ clip) => {
    const source = `thumbnail/${address}?digest=${clip.digest}`;
    if (image.getAttribute('src') !== source) image.src = source;
    const texts = clip.error ? [clip.error] : clip.sentences;
    const lines = texts.map((text) => createElement('li', {}, text));
    if (checks.textContent !== texts.join('')) checks.replaceChildren(...lines); // selected text stays
    showStatus(clip);
    button.ariaLabel = `Status of ${name}: ${button.textContent}`;
    button.style.borderLeftColor = `var(--${clip.status.replace(' ', '-')})`;
    personCell.textContent = clip.holder ? `in use by ${clip.holder}` : clip.author;
  };
  const [nameCell, checksCell] = [createElement('th', { scope: 'row' }, link), createElement('td', {}, checks)];
  return { line: createElement('tr', {}, nameCell, checksCell, statusCell, personCell), show };
}

async function trackAll() {
  if (!requireName()) return;
  const result = await post('track', null).catch(showError);
  if (!result.error) showMessage(`${formatCount(result, 'clip')} will be tracked, one after the other.`);
  await fetchTask.run();
}

async function exportClips() {
  const formats = [...new FormData(element('export-form')).keys()];
  showMessage(formats.length ? 'Exporting…' : 'Choose a format first.', !formats.length);
  if (!formats.length || !requireName()) return;
  element('export-clips').disabled = true;
  const result = await post('export', formats).catch(showError);
  element('export-clips').disabled = false;
  if (result.error) return;
  const { names, problems, left_out: leftOut } = result;
  const sentences = [`${formatCount(names.length, 'clip')} exported.`, ...problems];
  if (leftOut.length) sentences.push(`Left out: ${leftOut.join(', ')}.`);
  showMessage(sentences.join(' '), problems.length > 0);
}

const post = async (/** @type {string} */ address, /** @type {object | null} */ body) => (
  (await fetchOrThrow(address, { method: 'POST', body: JSON.stringify(body) })).json());

function openNext() {
  const clip = findNext(clips);
  if (!clip) showMessage('No clip needs work.');
  else if (requireName()) location.assign(`clip/${encodeURIComponent(clip.name)}/`);
}

/** Ask for the user's name; return whether it is there. @param {Event} [event] canceled without the name */
function requireName(event) {
  if (element('person').value.trim()) return true;
  event?.preventDefault();
  showMessage('Type your name first, so that others see who has a clip open.', true);
  element('person').focus();
  return false;
}
