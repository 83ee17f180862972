/** Main application: shows the server's state and events.

 `store.js` holds the state of the page, and the views subscribe to it; a module imports only those below it. `Playback`
 holds a key press until its frame shows, `EditQueue` an edit until the earlier ones are stored, `Connection` a message
 until it is answered. `packages/studio/scripts/page_types.py` writes the types of messages, `protocol.d.ts`. */

import { modelChoice, segmenterChoice } from './choice.js';
import { connection } from './connection.js';
import { addIcons, createElement, element, elements, installFocusReturn } from './dom.js';
import { frames } from './frames.js';
import { toolbox } from './input.js';
import { clearErrorAfter, showError, showHint, showLoading, showMessage } from './messages.js';
import { objectPanel } from './objects.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { review } from './review.js';
import { selection } from './selection.js';
import { loadSettings, saveSettings } from './settings.js';
import { state, update } from './store.js';
import { timeline } from './timeline.js';
import { setTool } from './tools.js';
import { tracking } from './tracking.js';
import { viewer } from './viewer.js';
import './shortcuts.js';

/** @import { Description, PageState, ServerEvent } from './protocol.js' */

const IN_LIST = /\/clip\/[^/]+\/$/; // address of a clip of a list

/** Show the session, or the reason for the lost connection. @param {boolean} isOpen */
async function showConnection(isOpen) {
  try {
    if (isOpen) await clearErrorAfter(fetchSession().then(showSession));
    else throw await connection.findDisconnectError();
  } catch (error) {
    if (isOpen === connection.isOpen) showError(error); // unless it changed meanwhile
  }
}

/** Fetch the session's state; a newer event repeats the request. @returns {Promise<Description>} */
async function fetchSession() {
  state.project.revision = 0;
  frames.revisions.clear();
  const { result: session } = await connection.call('describe', {});
  return session.revision < state.project.revision ? fetchSession() : session; // an event brought a newer state
}

/** Show the session described by the server. @param {Description} session */
async function showSession(session) {
  queue.repeatableActions = session.repeatable_actions;
  frames.video = session.video;
  frames.setRevision(session.revision);
  playback.setVideo(session);
  viewer.setSize(session.size);
  modelChoice.offer(session.models, session.model);
  segmenterChoice.offer(session.segmenters, session.segmenter);
  const lastVisit = state.project.id ? null : loadSettings(session.project);
  element('name').textContent = element('name').title = document.title = session.name;
  state.project.id = session.project;
  if (lastVisit) {
    update({ hiddenIds: new Set(loadSettings(session.project, 'sessionStorage').hidden) });
    if (lastVisit.object_id) selection.setSelected(lastVisit.object_id);
  }
  for (const item of elements('clips', 'done')) item.hidden = !IN_LIST.test(location.pathname);
  timeline.setMarks(session.timeline);
  showDocument(session);
  update({ job: session.job });
  if (session.cut_off) tracking.offerToContinue(session.cut_off);
  element('problems').replaceChildren(...session.problems.map((text) => createElement('li', {}, text)));
  if (session.problems.length) showMessage(session.problems.join(' · '), true);
  else showHint('');
  await playback.goTo(lastVisit ? lastVisit.frame || 0 : state.wanted.frame);
  review.fetchTask.run();
  if (!lastVisit) return; // connected again
  if (lastVisit.follows && tracking.job && state.mode === 'idle') playback.setMode('follow');
  queue.addPending(-1);
}

/** Show objects, range, and whether it is done; the masks are fetched separately. @param {PageState} document */
function showDocument(document) {
  const { project } = state;
  if (document.revision < project.revision) return; // it arrived late
  const wasEmpty = !project.objects.length;
  update({ project: Object.assign(project, document) });
  const last = project.objects[project.objects.length - 1];
  // an edit of this page selects the object that it creates
  if (wasEmpty && last && !selection.item && !state.actions.size) selection.setSelected(last.id);
}

/** Commit what is being typed and send unanswered edits when the page closes. @param {boolean} userMayStay */
function saveBeforeClose(userMayStay) {
  // as when the field loses the focus, which stays if the user does
  const field = /** @type {HTMLInputElement | null} */ (document.activeElement);
  const isChanged = field?.matches('[type=color]') && field.value !== field.defaultValue;
  for (const type of isChanged ? ['change', 'blur'] : ['blur']) field?.dispatchEvent(new Event(type));
  queue.sendOnClose(userMayStay);
}

function handleEvent(/** @type {ServerEvent} */ event) {
  if (event.event === 'frame') {
    frames.revisions.set(event.frame, event.revision);
    timeline.setFrameMarks(event.frame, event.marks);
    if (event.frame === state.wanted.frame) playback.refresh(event.revision);
    review.refreshFrame(event.frame);
  } else if (event.event === 'document') showDocument(event.state);
  else if (event.event === 'results') {
    frames.setRevision(event.revision);
    playback.refresh(event.revision);
    timeline.fetchTask.run();
    review.fetchTask.run();
  } else if (event.event === 'job') update({ job: event.job });
  else if (event.event === 'model') modelChoice.setChosen(event.model);
  else if (event.event === 'segmenter') segmenterChoice.setChosen(event.segmenter);
  else if (event.event === 'loading') showLoading(event.loading);
  else if (event.event === 'export') element('export-progress').value = event.done / event.total;
}

/** Restore the tool and the display of the last visit. */
function restoreSettings() {
  const { tool, radius, display } = loadSettings();
  if (typeof tool === 'string') setTool(tool);
  if (Number.isFinite(radius)) toolbox.setRadius(radius);
  if (!display) return;
  [fill.checked, outline.checked] = [display.fill, display.outline];
  opacity.valueAsNumber = display.opacity;
}

/** Store the settings of this visit. */
function storeSettings() {
  const { hiddenIds, mode, project: { id }, radius, shown: { frame }, tool } = state;
  if (!id) return; // not described yet
  const display = { fill: fill.checked, outline: outline.checked, opacity: opacity.valueAsNumber };
  saveSettings({ tool: tool.name, radius, display });
  saveSettings({ frame, object_id: selection.id, follows: mode === 'follow' }, id);
  saveSettings({ hidden: [...hiddenIds] }, id, 'sessionStorage');
}

history.replaceState(null, '', location.pathname); // the token is now a cookie
const [fill, outline, opacity] = elements('fill', 'outline', 'opacity');
addIcons();
installFocusReturn();
restoreSettings();
for (const field of [fill, outline, opacity]) field.oninput = () => viewer.requestDraw();
addEventListener('beforeunload', (event) => {
  saveBeforeClose(true);
  const isSending = queue.requestCount > 0 || state.actions.size > 0;
  const hasInput = state.commands.length > 0 || playback.hasInput;
  if (state.project.id && (isSending || objectPanel.hasDrafts || hasInput)) event.preventDefault(); // the browser asks
});
addEventListener('pagehide', () => { saveBeforeClose(false); storeSettings(); });
// phones end hidden pages without another event
document.addEventListener('visibilitychange', () => document.hidden && saveBeforeClose(true));
queue.addPending(1); // until the first session shows
connection.connect(handleEvent, showConnection);
