// @ts-check
/** Buttons and fields of the page with their actions; the toolbar. */

import { connectPerson, createElement, createIconButton, drawIcon, element, elements, focusView } from './dom.js';
import { loadMasks, openMerge } from './objects.js';
import { watchPointers } from './pointers.js';
import { TOOLS } from './tools.js';

/** @typedef {import('./main.js').App} App */
/** @typedef {{whileLoading?: boolean}} ButtonOptions whether it works while a frame is loading */

/** @param {App} app */
export function connectControls(app) {
  returnFocus();
  makeTools(app);
  for (const [id, run, { whileLoading } = {}] of listButtons(app)) element(id).onclick = () => app.inputs.add(run, !whileLoading);
  const { viewer } = app;
  element('load').onchange = () => loadMasks(app).catch((error) => app.showError(error));
  for (const box of elements('fill', 'outline')) box.onchange = () => viewer.setStyle({ [box.id]: box.checked });
  element('note').onblur = () => app.review.storeNote();
  element('note').onkeydown = (event) => { if (event.key === 'Enter') focusView(); };
  connectPerson(() => app.connection.socket?.close()); // the next connection has the name
  element('opacity').oninput = () => viewer.setStyle({ opacity: Number(element('opacity').value) });
  watchPointers(viewer, app.toolbox);
}

/** Return the focus to the frame after a button, box or list was used with the pointer, so that keys act on the frame. */
function returnFocus() {
  const back = (/** @type {Event} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const { activeElement } = document;
    const controls = 'button, input[type=checkbox], input[type=range], select, summary, a';
    if (!target.closest(controls) || target.closest('dialog')) return;
    if (event instanceof MouseEvent && event.detail === 0) return; // from the keyboard
    if (event.type === 'click' && target.closest('select')) return;
    if (event.type === 'change' && activeElement?.matches('input') && activeElement !== target) return; // the next field
    focusView();
  };
  document.addEventListener('click', back, true);
  document.addEventListener('change', back);
}

/** @param {App} app @returns {[keyof import('./protocol.js').Elements, () => void, ButtonOptions?][]} id and action of each button */
function listButtons(app) {
  const { playback, tracking, review, history, timeline } = app;
  const whileLoading = { whileLoading: true };
  return [
    ['next-clip', () => app.clip.next(), whileLoading],
    ['take-results', () => app.clip.takeResults()],
    ['undo', () => history.undo(), whileLoading],
    ['redo', () => history.redo(), whileLoading],
    ['export', () => app.exporter.open(), whileLoading],
    ['open-versions', () => app.versions.open()],
    ['help', () => element('help-dialog').showModal(), whileLoading],
    ['panels', togglePanels, whileLoading],
    ['add', () => app.addObject()],
    ['merge', () => openMerge(app)],
    ['delete', () => app.deleteObject()],
    ['holes', () => app.fillHoles()],
    ['absent', () => app.markAbsent()],
    ['reset-frame', () => history.resetFrame()],
    ['track', () => tracking.track('forward')],
    ['forward', () => tracking.track('forward')],
    ['backward', () => tracking.track('backward')],
    ['both', () => tracking.track('both')],
    ['drop', () => tracking.drop()],
    ['pause', () => tracking.pause(), whileLoading],
    ['stop', () => app.send('stop', {}), whileLoading],
    ['checked', () => review.toggleChecked()],
    ['play', () => playback.toggle(), whileLoading],
    ['previous', () => playback.step(-1), whileLoading],
    ['next-frame', () => playback.step(1), whileLoading],
    ['next-check', () => review.next(), whileLoading],
    ['zoom-in', () => timeline.zoomBy(1 / 2), whileLoading],
    ['zoom-out', () => timeline.zoomBy(2), whileLoading],
  ];
}

/** Show or hide the panels of a narrow window. */
function togglePanels() {
  element('panels').setAttribute('aria-expanded', String(document.body.classList.toggle('panels-open')));
}

/** @param {App} app */
function makeTools({ toolbox }) {
  const buttons = TOOLS.map(({ name, key, icon, help }) => {
    const button = createToolButton(icon, name, key, { title: help, onclick: () => toolbox.choose(name) });
    button.dataset.tool = name;
    return button;
  });
  const title = 'Minus: remove instead of adding, as Shift does';
  const minus = createToolButton('circle-minus', 'minus', 'U', { id: 'minus', title, onclick: () => toolbox.toggleRemoving() });
  const smaller = createIconButton('minus', 'Smaller brush', { title: 'Smaller brush', onclick: () => toolbox.resize(1 / 1.2) });
  const larger = createIconButton('plus', 'Larger brush', { title: 'Larger brush', onclick: () => toolbox.resize(1.2) });
  element('tools').append(...buttons, minus, createElement('output', { ariaLabel: 'Brush size' }),
    createElement('div', { id: 'sizes' }, smaller, larger));
  showTools(toolbox);
}

/** @param {string} icon @param {string} textContent @param {string} key @param {object} values */
function createToolButton(icon, textContent, key, values) {
  const button = createElement('button', values, drawIcon(icon), createElement('span', { textContent }));
  button.dataset.key = key;
  return button;
}

/** Show which tool is chosen, and the size of the brush. @param {import('./tools.js').Toolbox} toolbox */
export function showTools({ tool, radius, removeByDefault }) {
  document.querySelector('#minus')?.setAttribute('aria-pressed', String(removeByDefault));
  for (const button of document.querySelectorAll('#tools [data-tool]')) {
    button.setAttribute('aria-pressed', String(button.getAttribute('data-tool') === tool.name));
  }
  const size = document.querySelector('#tools output');
  if (size) size.textContent = `${radius.toFixed(radius < 10 ? 1 : 0)} px`;
}
