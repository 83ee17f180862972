// @ts-check
/** Buttons and fields of the page with their actions; the toolbar. */

import { connectPerson, createElement, createIconButton, drawIcon, element, elements, focusView } from './dom.js';
import { loadMasks, openMerge } from './objects.js';
import { watchPointers } from './pointers.js';
import { showKey } from './shortcuts.js';
import { TOOLS } from './tools.js';

/** @typedef {import('./main.js').App} App */

/** @param {App} app */
export function connectControls(app) {
  returnFocus();
  makeTools(app);
  const { viewer, timeline } = app;
  element('merge').onclick = () => app.inputs.add(() => openMerge(app), true);
  element('open-versions').onclick = () => app.versions.open();
  element('panels').onclick = () => { // in a narrow window
    element('panels').setAttribute('aria-expanded', String(document.body.classList.toggle('panels-open')));
  };
  element('zoom-in').onclick = () => timeline.zoomBy(1 / 2);
  element('zoom-out').onclick = () => timeline.zoomBy(2);
  element('load').onchange = () => loadMasks(app).catch((error) => app.showError(error));
  for (const box of elements('fill', 'outline')) box.onchange = () => viewer.setStyle({ [box.id]: box.checked });
  connectPerson(() => app.connection.socket?.close()); // the next connection has the name
  element('opacity').oninput = () => viewer.setStyle({ opacity: Number(element('opacity').value) });
  watchPointers(viewer, app.toolbox);
}

/** Return the focus to the frame after a button, box or list was used with the pointer, so that keys act on the frame. */
function returnFocus() {
  const back = (/** @type {Event} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const { activeElement } = document;
    const controls = 'button, input[type=checkbox], input[type=range], select, a';
    if (!target.closest(controls) || target.closest('dialog')) return;
    if (event instanceof MouseEvent && event.detail === 0) return; // from the keyboard
    if (event.type === 'click' && target.closest('select')) return;
    if (event.type === 'change' && activeElement?.matches('input') && activeElement !== target) return; // the next field
    focusView();
  };
  document.addEventListener('click', back, true);
  document.addEventListener('change', back);
}

/** @param {App} app */
function makeTools({ toolbox }) {
  const buttons = TOOLS.map(({ name, key, icon, help }) => {
    const button = createToolButton(icon, name, key, { title: help, onclick: () => toolbox.setTool(name) });
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
  showKey(button, key);
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
