// @ts-check
/** Objects: their list, names, class and attributes; merging two; matching objects of a file. */

import { createElement, createIconButton, element, elements, replaceChildren, showDialog } from './dom.js';
import { TextField } from './fields.js';
import { describeRow } from './timeline.js';

/** @typedef {import('./main.js').App} App */
/** @typedef {import('./protocol.js').ObjectInfo} Item */

/** Show the list of objects, unless a color is being chosen. @param {App} app */
export function showObjects(app) {
  const list = element('objects');
  if (!list.querySelector('input:focus')) replaceChildren(list, app.objects.map((item) => createRow(item, app)));
}

/** Update what a row says about the frames of its object; the list stays, as a press may be in progress. @param {App} app */
export function describeRows(app) {
  for (const { id } of app.objects) {
    const text = element('objects').querySelector(`[name=choose${id}] .visually-hidden`);
    if (text) text.textContent = `, ${describeRow(app.timeline.rows.get(id))}`;
  }
}

/** @param {Item} item @param {App} app */
function createRow(item, app) {
  const { id, name, color, class_name: className, hidden, locked } = item;
  const swatch = createElement('input', { type: 'color', value: color, ariaLabel: `Color of ${name}` });
  swatch.onchange = () => {
    swatch.blur();
    app.change(id, { color: swatch.value });
  };
  const choose = createElement('button', {
    className: 'choose', name: `choose${id}`, title: `${name}: choose; double click renames`, ariaPressed: String(id === app.chosen),
    // the first click of two replaces the list, so there is no dblclick
    onclick: (/** @type {MouseEvent} */ event) => (event.detail > 1 ? focusName() : app.choose(id)),
  }, createElement('span', { className: 'name', textContent: name }));
  if (className && className !== name) choose.append(createElement('span', { className: 'class', textContent: className }));
  const description = `, ${describeRow(app.timeline.rows.get(id))}`;
  choose.append(createElement('span', { className: 'visually-hidden', textContent: description }));
  const createSwitch = (/** @type {'hidden' | 'locked'} */ key, /** @type {string} */ label, /** @type {string} */ icon) => (
    createIconButton(icon, `${label} ${name}`, {
      className: 'small', name: `${key}${id}`, title: `${label} ${name}`, ariaPressed: String(item[key]), onclick: () => app.change(id, { [key]: !item[key] }),
    }));
  return createElement('li', { className: id === app.chosen ? 'chosen' : '' }, swatch, choose,
    createSwitch('hidden', 'Hide', hidden ? 'eye-off' : 'eye'), createSwitch('locked', 'Lock', locked ? 'lock' : 'lock-open'));
}

/** Let the name of the chosen object be typed. */
export function focusName() {
  element('object-name').focus();
  element('object-name').select();
}

export class ObjectFields {
  /** @param {App} app */
  constructor(app) {
    const [name, className, attributes] = elements('object-name', 'class', 'attributes');
    this.name = new TextField(name, (id, text) => !text || app.change(id, { name: text }));
    this.className = new TextField(className, (id, text) => app.change(id, { class_name: text }));
    this.attributes = new TextField(attributes, (id, text) => app.change(id, { attributes: readAttributes(text) }));
  }

  /** @param {Item | undefined} item the chosen object */
  show(item) {
    element('object-fields').hidden = !item;
    if (!item) return;
    this.name.show(item.id, item.name);
    this.className.show(item.id, item.class_name);
    this.attributes.show(item.id, Object.entries(item.attributes).map(([name, value]) => `${name}=${value}`).join(', '));
  }

  /** Offer the classes of the project. @param {string[]} names */
  setClasses(names) {
    element('classes').replaceChildren(...names.map((value) => createElement('option', { value })));
  }
}

/** Return attributes as typed; a name without a value is true. @param {string} text @returns {Record<string, string>} */
function readAttributes(text) {
  const pairs = text.split(',').map((pair) => pair.split('='));
  return Object.fromEntries(pairs.map(([name, ...value]) => [name.trim(), value.join('=').trim() || 'true']).filter(([name]) => name));
}

/** Merge the chosen object into another one. @param {App} app */
export async function openMerge(app) {
  const from = app.chosenItem;
  const others = app.objects.filter((item) => item !== from);
  if (!from || !others.length) return;
  element('merge-from').textContent = from.name;
  element('merge-into').replaceChildren(...others.map(({ id, name }) => createElement('option', { value: String(id), textContent: name })));
  if (!(await showDialog(element('merge-dialog')))) return;
  const into = Number(element('merge-into').value);
  app.history.offer(await app.send('merge_objects', { object_id: from.id, into }), `${from.name} merged into ${app.getName(into)}`);
}

/** Load the masks of the chosen file. @param {App} app */
export async function loadMasks(app) {
  const file = element('load').files?.[0];
  element('load').value = '';
  if (!file) return;
  app.showMessage('Loading the masks…');
  await app.queue.last; // drawings that are on their way come before
  const { playback } = app;
  const address = `masks/${playback.frame}?page=${app.connection.page}&chosen=${app.chosen || null}`;
  let answer = await fetch(address, { method: 'POST', body: file });
  if (answer.status === 409) {
    const targets = await matchObjects(await answer.json(), app.objects);
    app.showMessage('');
    if (!targets) return;
    answer = await fetch(`${address}&targets=${encodeURIComponent(JSON.stringify(targets))}`, { method: 'POST', body: file });
  }
  if (!answer.ok) throw new Error(await answer.text());
  /** @type {import('./protocol.js').LoadedMasks} */
  const result = await answer.json();
  const { frames, step } = result;
  app.showMessage(frames.length > 1
    ? `Masks on ${frames.length} frames, from ${frames[0]} to ${frames[frames.length - 1]}` : `A mask on frame ${frames[0]}`);
  app.history.reportTaken({ step, result }, 'The loaded masks');
  await playback.seek(frames.includes(playback.frame) ? playback.frame : frames[0]);
}

/**
 * Ask which objects a file's objects are.
 * @param {import('./protocol.js').FileObject[]} objects
 * @param {Item[]} items objects of the project
 * @returns {Promise<Record<number, number | null> | undefined>} object by id in the file, null: a new one; undefined: canceled
 */
async function matchObjects(objects, items) {
  const lists = objects.map(({ target }) => {
    const options = items.map(({ id, name }) => createElement('option', { value: String(id), textContent: `${id}: ${name}` }));
    const list = createElement('select', {}, createElement('option', { value: '', textContent: 'a new object' }), ...options);
    list.value = target ? String(target) : '';
    return list;
  });
  element('file-objects').replaceChildren(...objects.map(({ id, name }, index) => (
    createElement('li', {}, createElement('label', {}, `${name || 'object'} (${id} in the file) is `, lists[index]))
  )));
  if (!(await showDialog(element('objects-dialog')))) return undefined;
  return Object.fromEntries(objects.map(({ id }, index) => [id, Number(lists[index].value) || null]));
}
