// @ts-check
/** Buttons and fields of the page with their actions. */

import { openMerge } from './dialogs.js';
import { element, make } from './dom.js';
import { watchPointers } from './pointers.js';
import { TOOLS } from './tools.js';

/** @typedef {import('./main.js').App} App */

/** Buttons that work while a frame is loading. */
const FREE = ['export', 'help', 'pause', 'stop', 'next', 'play', 'previous', 'following', 'undo', 'redo', 'closer', 'wider'];

/** @param {App} app */
export function wire(app) {
  giveFocusBack();
  makeTools(app);
  for (const [id, run] of Object.entries(clicks(app))) element(id).onclick = () => app.inputs.add(run, !FREE.includes(id));
  const { viewer } = app;
  element('load').onchange = () => loadMasks(app).catch((error) => app.fail(error));
  for (const key of ['fill', 'outline']) element(key).onchange = () => viewer.setLook({ [key]: element(key).checked });
  element('opacity').oninput = () => viewer.setLook({ opacity: Number(element('opacity').value) });
  watchPointers(viewer, app.toolbox);
}

/** Return the focus to the frame after a button, box or list was used with the pointer, so that keys act on the frame. */
function giveFocusBack() {
  const back = (/** @type {Event} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!target.closest('button, input[type=checkbox], input[type=range], select, summary, a') || target.closest('dialog')) return;
    if (event instanceof MouseEvent && event.detail === 0) return; // from the keyboard
    if (event.type === 'click' && target.closest('select')) return;
    element('view').focus({ preventScroll: true });
  };
  document.addEventListener('click', back, true);
  document.addEventListener('change', back);
}

/**
 * @param {App} app
 * @returns {Record<string, () => void>} by the button's id
 */
function clicks(app) {
  const { playback, tracking, review } = app;
  return {
    undo: () => app.history.undo(), redo: () => app.history.redo(), export: () => app.exporter.open(), help: () => app.keyDialog.open(),
    add: () => app.addObject(), delete: () => app.deleteObject(), merge: () => openMerge(app),
    holes: () => app.send('fill_holes'), absent: () => app.send('clear'), back: () => app.history.resetFrame(),
    forward: () => tracking.track('forward'), backward: () => tracking.track('backward'), both: () => tracking.track('both'),
    drop: () => tracking.drop(), take: () => tracking.takeFrame(), golive: () => tracking.goLive(), pause: () => tracking.pause(), stop: () => app.send('stop'),
    closer: () => app.timeline.zoomBy(1 / 2), wider: () => app.timeline.zoomBy(2), next: () => review.next(), play: () => playback.play(), previous: () => playback.step(-1), following: () => playback.step(1),
  };
}

/** @param {App} app */
function makeTools(app) {
  for (const { name, key, icon, help } of TOOLS) {
    const button = make('button', { textContent: icon, title: help, onclick: () => app.toolbox.choose(name) });
    button.dataset.tool = name;
    button.append(make('span', { textContent: name }));
    button.dataset.key = key;
    element('tools').append(button);
  }
  const minus = make('button', { textContent: '−', title: 'Minus: remove instead of adding, as Shift does', onclick: () => app.toolbox.invert() });
  minus.id = 'minus';
  minus.append(make('span', { textContent: 'minus' }));
  minus.dataset.key = 'U';
  element('tools').append(minus);
  const sizes = make('div', { id: 'sizes' });
  const size = make('output', {});
  size.setAttribute('aria-label', 'brush size');
  for (const [label, text, factor] of /** @type {[string, string, number][]} */ ([['Smaller brush', '–', 1 / 1.2], ['Larger brush', '+', 1.2]])) {
    const button = make('button', { textContent: text, title: label, onclick: () => app.toolbox.resize(factor) });
    button.setAttribute('aria-label', label);
    sizes.append(button);
  }
  element('tools').append(size, sizes);
  showTools(app.toolbox);
}

/**
 * Show which tool is chosen, and the size of the brush.
 * @param {import('./toolbox.js').Toolbox} toolbox
 */
export function showTools(toolbox) {
  element('minus').setAttribute('aria-pressed', String(toolbox.inverse));
  for (const button of document.querySelectorAll('#tools [data-tool]')) {
    button.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (button).dataset.tool === toolbox.tool.name));
  }
  const size = document.querySelector('#tools output');
  if (size) size.textContent = `${toolbox.radius.toFixed(toolbox.radius < 10 ? 1 : 0)} px`;
}

/** @param {App} app */
async function loadMasks(app) {
  const [file] = element('load').files;
  element('load').value = '';
  if (!file) return;
  app.say('Loading the masks…');
  const answer = await fetch(`masks/${app.playback.frame}`, { method: 'POST', body: file });
  if (!answer.ok) {
    app.say(await answer.text(), true);
    return;
  }
  const { frames } = await answer.json();
  app.say(frames.length > 1 ? `Masks on ${frames.length} frames, from ${frames[0]} to ${frames[frames.length - 1]}` : `A mask on frame ${frames[0]}`);
  await app.playback.seek(frames.includes(app.playback.frame) ? app.playback.frame : frames[0]);
}
