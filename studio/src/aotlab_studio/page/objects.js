/** Objects: their list, names, class and attributes; merging two; matching objects of a file. */

import { fetchOrThrow } from './connection.js';
import {
  ask, createElement, createIcon, element, elements, RowList, setIcon, showError, showHint, showMessage,
  TextField,
} from './dom.js';

/** @import { ActionAnswer, ShownError } from './connection.js' */
/** @import { Actions, FileObject, LoadedMasks } from './protocol.js' */
/** @typedef {import('./main.js').App} App */
/** @typedef {import('./protocol.js').ObjectInfo} Item */

const UNMATCHED = 409; // HTTP status of a file whose objects must be matched

/** Buttons of a row, with their icons: off, on. */
const SWITCHES = /** @type {const} */ ([
  { key: 'hidden', text: 'Hide', icons: ['eye', 'eye-off'] },
  { key: 'locked', text: 'Lock', icons: ['lock-open', 'lock'] },
]);

/** Return the row of an object, and the function that updates it. @param {number} id @param {App} app */
function createObjectRow(id, app) {
  const swatch = createElement('input', { type: 'color' });
  swatch.onchange = () => app.objectPanel.changeObject(id, { color: swatch.value });
  const name = createElement('span', { className: 'name' });
  const category = createElement('span', { className: 'class' });
  const button = createElement('button', { className: 'select', name: `select${id}` }, name, category);
  button.onclick = () => app.selection.selectByUser(id);
  button.ondblclick = focusName;
  const switches = SWITCHES.map(({ key, icons: [icon] }) => createElement('button', {
    className: 'small', name: `${key}${id}`, onclick: () => app.objectPanel.toggleSwitch(key, id),
  }, createIcon(icon)));
  const line = createElement('li', {}, swatch, button, ...switches);
  line.onkeydown = ({ key, ctrlKey, metaKey }) => {
    if (key === 'Delete' || (key === 'Backspace' && (ctrlKey || metaKey))) app.selection.selectByUser(id);
  };
  const show = (/** @type {Item} */ item) => {
    line.className = id === app.selection.id ? 'selected' : '';
    if (swatch.defaultValue !== item.color) swatch.defaultValue = swatch.value = item.color; // keep one being chosen
    swatch.title = swatch.ariaLabel = `Color of ${item.name}`;
    button.ariaPressed = String(id === app.selection.id);
    button.title = `Select ${item.name}; double-click to rename`;
    name.textContent = item.name;
    category.textContent = item.class_name === item.name ? '' : item.class_name;
    for (const [index, { key, text, icons }] of SWITCHES.entries()) {
      switches[index].title = switches[index].ariaLabel = `${text} ${item.name}`;
      switches[index].ariaPressed = String(item[key]);
      setIcon(switches[index], icons[Number(item[key])]);
    }
  };
  return { line, show };
}

export function focusName() {
  element('object-name').focus();
  element('object-name').select();
}

export class ObjectPanel {
  constructor(/** @type {App} */ app) {
    this.app = app;
    /** @type {RowList<Item>} */
    this.list = new RowList(element('objects'), ({ id }) => id, ({ id }) => createObjectRow(id, app));
    const [name, className, attributes] = elements('object-name', 'class', 'attributes');
    this.name = new TextField(name, async (id, text) => (text ? this.changeObject(id, { name: text }) : {}));
    this.className = new TextField(className, (id, text) => this.changeObject(id, { class_name: text }));
    this.attributes = new TextField(attributes, (id, text) => (
      this.changeObject(id, { attributes: readAttributes(text) })));
    element('merge').onclick = () => app.commands.add(() => openMerge(app), true);
    element('load').onchange = () => loadMasks(app).catch(showError);
  }

  show() {
    const { objects, selection: { item } } = this.app;
    this.list.show(objects);
    element('object-fields').hidden = !item;
    if (!item) return;
    this.name.show(item.id, item.name);
    this.className.show(item.id, item.class_name);
    const pairs = Object.entries(item.attributes).map(([name, value]) => `${name}=${value}`);
    this.attributes.show(item.id, pairs.join(', '));
  }

  /**
   * Edit the selected object's mask on this frame; `values`: further fields of the message.
   * @type {<A extends 'fill_holes' | 'mark_absent' | 'split_object' | 'reassign'>(action: A, values?: object)
   *   => Promise<ActionAnswer<A> | ShownError>}
   */
  editMask(action, values) {
    const { selection, playback: { frame }, queue } = this.app;
    return queue.edit(action, /** @type {any} */ ({ frame, object_id: null, ...values }), selection.ensureTarget());
  }

  async addObject() {
    const { queue, selection, selection: { id: previousId } } = this.app;
    selection.selectByUser(0);
    const { target } = selection;
    const { error } = await queue.edit('add_object', {}, target);
    if (error && target === selection.target) selection.setSelected(previousId);
  }

  async deleteObject() {
    const { history, queue, selection: { item, target } } = this.app;
    const answer = await queue.edit('delete_object', /** @type {any} */ ({ object_id: null }), target);
    history.offerUndo(answer, `${item?.name ?? 'New object'} deleted`); // it may not exist yet
  }

  /** @param {number} id @param {Omit<Actions['change_object']['message'], 'object_id'>} changes */
  changeObject(id, changes) {
    return this.app.queue.edit('change_object', { object_id: id, ...changes });
  }

  toggleSwitch(/** @type {'hidden' | 'locked'} */ key, /** @type {number} */ id = this.app.selection.id) {
    const item = this.app.findObject(id);
    if (item) this.changeObject(id, { [key]: !item[key] });
  }
}

/** Return typed attributes; one alone has the value “true”. @param {string} text @returns {Record<string, string>} */
function readAttributes(text) {
  const pairs = text.split(',').map((pair) => pair.split('='));
  const attributes = pairs.map(([name, ...value]) => [name.trim(), value.length ? value.join('=').trim() : 'true']);
  return Object.fromEntries(attributes.filter(([name]) => name));
}

/** Merge the selected object into another one. @param {App} app */
async function openMerge(app) {
  const { item: from, target } = app.selection;
  const others = app.objects.filter((item) => item !== from);
  if (!from || !others.length) return;
  const options = others.map(({ id, name }) => new Option(name, String(id)));
  const list = createElement('select', { ariaLabel: 'Object' }, ...options);
  const text = createElement('p', {}, 'Move all pixels of ', createElement('b', {}, from.name), ' to ', list);
  if (!(await ask('Merge', text, 'merge'))) return;
  const into = Number(list.value);
  const answer = await app.queue.edit('merge_objects', { object_id: from.id, into }, target);
  if (!answer.error) app.selection.selectByUser(into);
  app.history.offerUndo(answer, `${from.name} merged into ${app.getName(into)}`);
}

/** Load the masks of the chosen file. @param {App} app */
async function loadMasks(app) {
  const file = element('load').files?.[0];
  element('load').value = '';
  if (!file) return;
  showMessage('Loading masks…');
  const { playback, playback: { frame } } = app;
  const target = app.selection.ensureTarget();
  const { result } = await app.queue.runInOrder({ action: 'load' }, (id) => {
    const query = `page=${app.connection.pageId}&id=${id}&chosen=${target.id || null}`;
    return sendMasks(file, `masks/${frame}?${query}`, app);
  });
  showHint('');
  if (!result) return;
  const { frames, step, unchanged } = result;
  const [first, last] = [frames[0], frames[frames.length - 1]];
  const range = first === last ? `frame ${first}` : `${frames.length} frames (${first} to ${last})`;
  const names = unchanged.map((id) => app.getName(id)).join(', ');
  showHint(`Masks loaded on ${range}.${names && ` Locked or hidden, and unchanged: ${names}.`}`);
  app.history.reportLosses({ step, result }, 'The loaded masks');
  if (playback.mayChangeFrame(frame)) await playback.seek(frames.includes(frame) ? frame : frames[0]);
}

/** Send a file of masks; no result: canceled. @returns {Promise<{result?: LoadedMasks, error?: undefined}>} */
async function sendMasks(/** @type {File} */ file, /** @type {string} */ address, /** @type {App} */ app) {
  const send = async (/** @type {string} */ targets) => {
    app.countPending(1);
    return fetchOrThrow(address + targets, { method: 'POST', body: file }, UNMATCHED).catch(({ message }) => {
      throw new Error(message.replace(/^masks(\.\w+)?:/, () => `${file.name}:`)); // the server does not know the name
    }).finally(() => app.countPending(-1));
  };
  const answer = await send('');
  if (answer.status !== UNMATCHED) return { result: await answer.json() };
  const targets = await matchObjects(await answer.json(), app.objects);
  if (!targets) return {};
  return { result: await (await send(`&targets=${encodeURIComponent(JSON.stringify(targets))}`)).json() };
}

/** Ask which objects a file's are; return their ids by id in the file, null: a new one; undefined: canceled. */
async function matchObjects(/** @type {FileObject[]} */ objects, /** @type {Item[]} */ items) {
  const lists = objects.map(({ target }) => {
    const options = items.map(({ id, name }) => new Option(`${id}: ${name}`, String(id)));
    const list = createElement('select', {}, new Option('a new object', ''), ...options);
    list.value = target ? String(target) : '';
    return list;
  });
  const lines = objects.map(({ id, name }, index) => (
    createElement('li', {}, createElement('label', {}, `${name || 'object'} (${id} in the file) is `, lists[index]))));
  if (!(await ask('Match objects', createElement('ul', {}, ...lines), 'load'))) return undefined;
  return Object.fromEntries(objects.map(({ id }, index) => [id, Number(lists[index].value) || null]));
}
