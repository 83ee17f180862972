// @ts-check
/** The lists beside the frame: objects, and frames to check. */

import { summary } from './timeline.js';

/** @typedef {{number: number, name: string, colour: string, hidden: boolean, locked: boolean}} Item */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind
 * @param {object} values
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(kind, values) {
  return Object.assign(document.createElement(kind), values);
}

/**
 * @param {string} text
 * @param {string} label
 * @param {boolean} pressed
 * @param {() => void} run
 */
function toggle(text, label, pressed, run) {
  const button = make('button', { textContent: text, className: 'small', title: label, onclick: run });
  button.setAttribute('aria-label', label);
  button.setAttribute('aria-pressed', String(pressed));
  return button;
}

/**
 * @param {HTMLElement} list
 * @param {Item[]} objects
 * @param {any} app
 */
export function showObjects(list, objects, app) {
  const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
    ? document.activeElement.dataset.name : undefined;
  list.replaceChildren(...objects.map((item) => row(item, app)));
  if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-name="${focused}"]`))?.focus();
}

/**
 * @param {Item} item
 * @param {any} app
 */
function row(item, app) {
  const { number, name, colour } = item;
  const line = make('li', { className: number === app.chosen ? 'chosen' : '' });
  const change = (/** @type {object} */ changes) => app.change(number, changes);
  const swatch = make('input', { type: 'color', value: colour, onchange: () => change({ colour: swatch.value }) });
  swatch.setAttribute('aria-label', `Colour of ${name}`);
  const choose = make('button', { className: 'choose', textContent: name, title: 'Choose; double click renames' });
  choose.setAttribute('aria-pressed', String(number === app.chosen));
  choose.onclick = () => app.choose(number);
  choose.ondblclick = () => rename(choose, name, change);
  choose.onkeydown = (event) => { if (event.key === 'F2') rename(choose, name, change); };
  choose.append(make('span', { className: 'unseen', textContent: `, ${summary(app.timeline.rows.get(number))}` }));
  const hide = toggle(item.hidden ? '🙈' : '👁', `Hide ${name}`, item.hidden, () => change({ hidden: !item.hidden }));
  const lock = toggle(item.locked ? '🔒' : '🔓', `Lock ${name}`, item.locked, () => change({ locked: !item.locked }));
  choose.dataset.name = `choose${number}`;
  hide.dataset.name = `hide${number}`;
  lock.dataset.name = `lock${number}`;
  line.append(swatch, choose, toggle('✎', `Rename ${name}`, false, () => rename(choose, name, change)), hide, lock);
  return line;
}

/**
 * Put a field where the name is.
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

/**
 * @param {HTMLElement} list
 * @param {{frame: number, number: number, sentence: string, severity: number}[]} checks
 * @param {any} app
 */
export function showChecks(list, checks, app) {
  list.replaceChildren(...checks.slice(0, 50).map((check) => {
    const item = app.objects.find((/** @type {Item} */ one) => one.number === check.number);
    const button = make('button', { onclick: () => app.goTo(check) });
    const dot = make('span', { className: 'dot' });
    dot.style.background = item ? item.colour : '#888888';
    button.append(dot, `${check.frame}: ${item ? item.name : check.number} ${check.sentence}`);
    const line = make('li', {});
    line.append(button);
    return line;
  }));
}
