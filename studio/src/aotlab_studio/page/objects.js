// @ts-check
/** Objects: their list, names, class and attributes; merging two; matching objects of a file. */

import { createElement, createIconButton, element, elements, focusView, replaceChildren, showDialog } from './dom.js';
import { describeRow } from './timeline.js';

/** @typedef {import('./main.js').App} App */
/** @typedef {import('./protocol.js').Item} Item */

/** Show the list of objects, unless a name is being typed or a color chosen. @param {App} app */
export function showObjects(app) {
  const list = element('objects');
  if (list.querySelector('input[type=text], input[type=color]:focus')) return;
  replaceChildren(list, app.objects.map((item) => createRow(item, app)));
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
    className: 'choose', title: `${name}: choose; double click renames`, ariaPressed: String(id === app.chosen),
    // the first click of two replaces the list, so there is no dblclick
    onclick: (/** @type {MouseEvent} */ event) => (event.detail > 1 ? rename(choose, item, app) : app.choose(id)),
  }, createElement('span', { className: 'name', textContent: name }));
  if (className && className !== name) choose.append(createElement('span', { className: 'class', textContent: className }));
  const description = `, ${describeRow(app.timeline.rows.get(id))}`;
  choose.append(createElement('span', { className: 'visually-hidden', textContent: description }));
  /** @type {Record<string, HTMLButtonElement>} */
  const buttons = {
    choose,
    rename: createSmallButton('pencil', `Rename ${name}`, false, () => rename(choose, item, app)),
    hide: createSmallButton(hidden ? 'eye-off' : 'eye', `Hide ${name}`, hidden, () => app.change(id, { hidden: !hidden })),
    lock: createSmallButton(locked ? 'lock' : 'lock-open', `Lock ${name}`, locked, () => app.change(id, { locked: !locked })),
  };
  for (const [action, button] of Object.entries(buttons)) button.name = `${action}${id}`;
  return createElement('li', { className: id === app.chosen ? 'chosen' : '' }, swatch, ...Object.values(buttons));
}

/** @param {string} icon @param {string} label @param {boolean} pressed @param {() => void} run */
function createSmallButton(icon, label, pressed, run) {
  return createIconButton(icon, label, { className: 'small', title: label, ariaPressed: String(pressed), onclick: run });
}

/** Rename the chosen object. @param {App} app */
export function renameChosen(app) {
  const item = app.chosenItem;
  const button = element('objects').querySelector(`[name=choose${app.chosen}]`);
  if (item && button instanceof HTMLElement) rename(button, item, app);
}

/** Replace the name by a text field. @param {HTMLElement} button @param {Item} item @param {App} app */
function rename(button, { id, name }, app) {
  const field = createElement('input', { type: 'text', value: name, maxLength: 60, ariaLabel: `New name of ${name}` });
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === 'Escape') field.value = name;
    if (event.key === 'Enter' || event.key === 'Escape') focusView();
  };
  field.onblur = async () => {
    const text = field.value.trim();
    if (text && text !== name && !(await app.change(id, { name: text }))) return; // refused; the field keeps the text
    field.replaceWith(button);
    showObjects(app);
  };
  button.replaceWith(field);
  field.select();
}

export class ObjectFields {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** Object whose class and attributes the fields hold; another one may be chosen while somebody types. */
    this.id = 0;
    /** Texts that were refused and the errors, by object and field; the fields keep them. @type {Map<string, {text: string, error: string}>} */
    this.refused = new Map();
    const [className, attributes] = elements('class', 'attributes');
    className.onchange = () => this.store(className, { class_name: className.value.trim() });
    attributes.onchange = () => this.store(attributes, { attributes: readAttributes(attributes.value) });
    element('object-fields').addEventListener('focusout', () => {
      if (this.id !== app.chosen) this.show(app.chosenItem);
    });
  }

  /** Store the text of a field. @param {HTMLInputElement} field @param {Omit<import('./protocol.js').Actions['change_object']['message'], 'object_id'>} changes */
  async store(field, changes) {
    const [key, text] = [`${this.id} ${field.id}`, field.value];
    if (await this.app.change(this.id, changes)) this.refused.delete(key);
    else this.refused.set(key, { text, error: element('status').textContent || '' });
    this.show(this.app.chosenItem);
  }

  /** Show class and attributes of an object, or texts that were refused, unless they are being typed. @param {Item | undefined} item */
  show(item) {
    element('object-fields').hidden = !item;
    const refused = ['class', 'attributes'].map((field) => this.refused.get(`${item?.id} ${field}`));
    element('field-problem').textContent = refused.map((one) => one?.error).filter(Boolean).join(' ');
    if (!item || document.activeElement?.closest('#object-fields')) return;
    this.id = item.id;
    element('class').value = refused[0]?.text ?? item.class_name;
    const attributes = Object.entries(item.attributes).map(([name, value]) => `${name}=${value}`).join(', ');
    element('attributes').value = refused[1]?.text ?? attributes;
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
