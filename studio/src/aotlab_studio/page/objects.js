// @ts-check
/** List of objects beside the frame. */

import { make } from './dom.js';
import { summary } from './strips.js';

/** @typedef {import('./protocol.js').Item} Item */

const ICONS = {
  eye: 'M2 10c3-5 13-5 16 0-3 5-13 5-16 0z M10 7.5a2.5 2.5 0 1 0 .01 0z',
  closed: 'M2 9c3 5 13 5 16 0 M5 12l-2 3 M10 13v3 M15 12l2 3',
  locked: 'M5 9h10v8H5z M7 9V6a3 3 0 0 1 6 0v3',
  open: 'M5 9h10v8H5z M7 9V5a3 3 0 0 1 6-1',
  pen: 'M4 16l1-4 8-8 3 3-8 8z',
};

/**
 * @param {keyof typeof ICONS} icon
 * @param {string} label
 * @param {boolean} pressed
 * @param {() => void} run
 */
function toggle(icon, label, pressed, run) {
  const button = make('button', { className: 'small', title: label, onclick: run });
  const space = 'http://www.w3.org/2000/svg';
  const image = document.createElementNS(space, 'svg');
  image.setAttribute('viewBox', '0 0 20 20');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', ICONS[icon]);
  image.append(path);
  button.append(image);
  button.setAttribute('aria-label', label);
  button.setAttribute('aria-pressed', String(pressed));
  return button;
}

/**
 * @param {HTMLElement} list
 * @param {Item[]} objects
 * @param {import('./main.js').App} app
 */
export function showObjects(list, objects, app) {
  const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
    ? document.activeElement.dataset.name : undefined;
  list.replaceChildren(...objects.map((item) => row(item, app)));
  if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-name="${focused}"]`))?.focus();
}

/**
 * @param {Item} item
 * @param {import('./main.js').App} app
 */
function row(item, app) {
  const { id, name, colour } = item;
  const line = make('li', { className: id === app.chosen ? 'chosen' : '' });
  const change = (/** @type {object} */ changes) => app.change(id, changes);
  const swatch = make('input', { type: 'color', value: colour, onchange: () => change({ colour: swatch.value }) });
  swatch.setAttribute('aria-label', `Colour of ${name}`);
  const choose = make('button', { className: 'choose', title: `${name}: choose; double click renames` });
  choose.append(make('span', { className: 'name', textContent: name }));
  choose.setAttribute('aria-pressed', String(id === app.chosen));
  choose.onclick = () => app.choose(id);
  choose.ondblclick = () => rename(choose, name, change);
  choose.onkeydown = (event) => { if (event.key === 'F2') rename(choose, name, change); };
  choose.append(make('span', { className: 'unseen', textContent: `, ${summary(app.timeline.rows.get(id))}` }));
  const hide = toggle(item.hidden ? 'closed' : 'eye', `Hide ${name}`, item.hidden, () => change({ hidden: !item.hidden }));
  const lock = toggle(item.locked ? 'locked' : 'open', `Lock ${name}`, item.locked, () => change({ locked: !item.locked }));
  choose.dataset.name = `choose${id}`;
  hide.dataset.name = `hide${id}`;
  lock.dataset.name = `lock${id}`;
  line.append(swatch, choose, toggle('pen', `Rename ${name}`, false, () => rename(choose, name, change)), hide, lock);
  return line;
}

/**
 * Replace the name by a text field.
 * @param {HTMLElement} button
 * @param {string} name
 * @param {(changes: object) => void} change
 */
function rename(button, name, change) {
  const field = make('input', { type: 'text', value: name, maxLength: 60 });
  field.setAttribute('aria-label', `New name of ${name}`);
  const finish = (/** @type {boolean} */ keep) => {
    field.onblur = null;
    if (keep && field.value.trim() && field.value !== name) change({ name: field.value.trim() });
    field.replaceWith(button);
    button.focus();
  };
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === 'Enter') finish(true);
    if (event.key === 'Escape') finish(false);
  };
  field.onblur = () => finish(true);
  button.replaceWith(field);
  field.select();
}
