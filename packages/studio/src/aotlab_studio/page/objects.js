/** Objects: their list, names and classes; merging two; matching objects of a file. */

import { connection, fetchOrThrow } from './connection.js';
import {
  createElement, createIcon, element, elements, focusView, focusViewIfLost, formatCount, formatFrames, setIcon,
} from './dom.js';
import { RowList, TextField } from './fields.js';
import { editHistory } from './history.js';
import { toolbox } from './input.js';
import { ask, CANCELED, showError, showHint, showMessage } from './messages.js';
import { playback } from './playback.js';
import { queue } from './queue.js';
import { selection } from './selection.js';
import { state, subscribe, update } from './store.js';
import { timeline } from './timeline.js';

/** @import { Actions, LoadedMasks, ObjectInfo as Item } from './protocol.js' */
/** @import { Target } from './store.js' */

class ObjectPanel {
  constructor() {
    const findObject = (/** @type {number} */ id) => state.project.findObject(id);
    this.lastScrolledId = 0; // object to which list and timeline have scrolled
    /** @type {RowList<Item>} */
    this.list = new RowList(element('objects'), ({ id }) => id, (item) => this.createRow(item));
    this.name = new TextField(element('object-name'), (id) => findObject(id)?.name ?? '', async (id, text) => (
      text ? this.changeObject(id, { name: text }) : {}));
    this.className = new TextField(element('class'), (id) => findObject(id)?.class_name ?? '', async (id, text) => {
      const names = state.project.schema.map((rule) => rule.name);
      if (text && names.length && !names.includes(text)) {
        return { error: new Error(`The classes are ${names.slice(0, 20).join(', ')}; choose one.`) };
      }
      return this.changeObject(id, { class_name: text, others: selection.findOthers(id) });
    });
    element('merge').onclick = () => playback.addCommand(openMerge, true);
    element('load').onchange = () => {
      const files = [...element('load').files ?? []];
      playback.addCommand(() => loadMasks(files).catch(showError), true);
      element('load').value = ''; // the same file may be chosen again
      focusView();
    };
    document.addEventListener('dragover', (event) => {
      event.preventDefault(); // or the browser opens the file
      if (event.dataTransfer && document.querySelector('dialog[open]')) event.dataTransfer.dropEffect = 'none';
    });
    document.addEventListener('drop', (event) => {
      const files = [...event.dataTransfer?.files ?? []];
      if (!files.length && /** @type {Element} */ (event.target).matches('[type=text]')) return; // the field gets it
      event.preventDefault();
      playback.addCommand(() => loadMasks(files).catch(showError), true);
    });
    element('panels').onclick = () => this.togglePanels();
    selection.subscribe(() => this.show());
    subscribe(['project'], showClasses);
    subscribe(['actions'], () => this.show()); // the lock that an unanswered edit sets
  }

  /** Return the row of an object, and the function that updates it. @param {Item} item */
  createRow({ id }) {
    const swatch = createElement('input', { type: 'color' });
    swatch.onchange = async () => {
      const { error } = await this.changeObject(id, { color: swatch.value });
      if (error) swatch.value = swatch.defaultValue;
    };
    const name = createElement('span', { className: 'name' });
    const category = createElement('span', { className: 'class' });
    const select = () => playback.addCommand(() => toolbox.select(id));
    const onclick = (/** @type {MouseEvent} */ { ctrlKey, metaKey, shiftKey }) => (
      (ctrlKey || metaKey || shiftKey) && selection.id ? selection.toggleOther(id) : select());
    const button = createElement('button', { className: 'select', name: `select${id}`, onclick }, name, category);
    button.ondblclick = () => this.focusName(id); // at once, or the next letters would be shortcuts
    const [hide, lock] = ['hidden', 'locked'].map((key) => (
      createElement('button', { className: 'small', name: `${key}${id}` }, createIcon('eye'))));
    hide.onclick = () => this.toggleHidden({ id });
    lock.onclick = () => this.toggleLock({ id });
    const line = createElement('li', {}, swatch, button, hide, lock);
    line.onkeydown = ({ key, ctrlKey, metaKey }) => {
      if (key === 'Delete' || (key === 'Backspace' && (ctrlKey || metaKey))) select();
    };
    const show = (/** @type {Item} */ item) => {
      const hasFocus = id === (selection.id || state.project.objects[0].id); // ↑ and ↓ go to the others
      for (const control of [swatch, button, hide, lock]) control.tabIndex = hasFocus ? 0 : -1;
      const isSelected = id === selection.id || selection.otherIds.has(id);
      line.className = isSelected ? 'selected' : '';
      // the color that the user is choosing stays
      if (swatch.defaultValue !== item.color) swatch.defaultValue = swatch.value = item.color;
      swatch.title = swatch.ariaLabel = `Color of ${item.name}`;
      button.ariaPressed = String(isSelected);
      button.title = `Select ${item.name}; Ctrl+click to give several objects one class, double-click to rename`;
      name.textContent = item.name;
      category.textContent = item.class_name === item.name ? '' : item.class_name;
      showSwitch(hide, `Hide ${item.name}`, ['eye', 'eye-off'], !selection.isVisible(id));
      showSwitch(lock, `Lock ${item.name}`, ['lock-open', 'lock'], this.isLocked(item));
    };
    return { line, show };
  }

  get fields() {
    return [this.name, this.className];
  }

  /** Whether an object has text that is not stored; another window may have deleted the object since. */
  get hasDrafts() {
    return this.fields.some(({ drafts }) => [...drafts.keys()].some((id) => state.project.findObject(id)));
  }

  show() {
    const { objects } = state.project;
    const { id, item } = selection;
    this.list.show(objects);
    for (const button of elements('delete', 'reshape', 'absent')) button.disabled = !item;
    element('merge').disabled = !item || objects.length < 2;
    element('empty').hidden = objects.length > 0;
    element('object-fields').hidden = !item;
    if (item) for (const field of this.fields) field.show(item.id);
    if (id !== this.lastScrolledId) this.scrollToSelected();
  }

  /** Let the user type the name of an object, which may be selected later. @param {number} id */
  focusName(id) {
    if (!state.project.findObject(id)) {
      const isSaved = state.actions.size === 0;
      showMessage(isSaved ? 'Select an object first.' : 'The new object is being saved; rename it then.', true);
      return;
    }
    this.name.show(id);
    element('object-name').focus();
    element('object-name').select();
  }

  async addObject() {
    const { id: previousId } = selection;
    toolbox.finish();
    selection.setSelected(0);
    const { target } = state;
    const { error } = await queue.edit('add_object', {}, target);
    if (error && target === state.target) selection.setSelected(previousId);
  }

  async deleteObject() {
    const { project, target } = state;
    toolbox.finish(); // its own, which would make a new object
    const message = /** @type {any} */ ({ object_id: null });
    let name = ''; // of the object of the earlier edits
    const answer = await queue.runInOrder({ action: 'delete_object', message, target }, (id) => {
      name = project.getName(target.id);
      return queue.send('delete_object', message, target, id);
    });
    editHistory.offerUndo(answer, `${name} deleted`);
  }

  /** Give the selected object, or the one of an unanswered prompt, a class. @param {string} className */
  setClass(className) {
    const { actions, target, unanswered } = state;
    if (!selection.item && !actions.size) return;
    const prompt = [...unanswered].reverse().find(({ tool, target: other }) => (
      tool.makesPrompts && other === target));
    queue.runInOrder({ action: 'change_object' }, async (id) => {
      if (prompt && !prompt.answerId) return { error: CANCELED };
      const message = { object_id: target.id, class_name: className, others: selection.findOthers(target.id) };
      return queue.send('change_object', message, target, id);
    });
  }

  /** @param {number} id @param {Omit<Actions['change_object']['message'], 'object_id'>} changes */
  changeObject(id, changes) {
    return queue.edit('change_object', { object_id: id, ...changes });
  }

  /** Return whether an object is locked after the unanswered edits; it may not exist yet. @param {Target} target */
  isLocked(target) {
    const pending = [...state.actions.values()].reverse().find(({ message = {}, target: other }) => (
      'locked' in message && (other === target || (target.id > 0 && other?.id === target.id))));
    return Boolean(/** @type {any} */ (pending?.message ?? state.project.findObject(target.id))?.locked);
  }

  /** @param {Target} target the selected one by default */
  toggleLock(target = state.target) {
    const message = /** @type {any} */ ({ object_id: null, locked: !this.isLocked(target) });
    return queue.edit('change_object', message, target);
  }

  /** Hide an object or show it again, after the earlier edits: it may not exist yet, and drawing shows it.
   * @param {Target} target the selected one by default */
  async toggleHidden(target = state.target) {
    await queue.previous;
    const { hiddenIds } = state;
    if (!hiddenIds.delete(target.id) && target.id) hiddenIds.add(target.id);
    update({ hiddenIds });
  }

  /** Hide all objects but the selected one, or show all again. */
  toggleOthers() {
    const ids = state.project.objects.map((item) => item.id).filter((id) => id !== selection.id);
    const hiddenIds = selection.id && ids.some((id) => selection.isVisible(id)) ? ids : [];
    update({ hiddenIds: new Set(hiddenIds) });
  }

  selectNext(/** @type {number} */ by) {
    const { objects } = state.project;
    const index = objects.findIndex((item) => item.id === selection.id);
    this.selectIndex(Math.min(objects.length - 1, Math.max(0, index + by)));
  }

  selectIndex(/** @type {number} */ index) {
    const item = state.project.objects[index];
    if (item) toolbox.select(item.id);
  }

  /** Scroll to the selected object in the list and the timeline, once after each selection. */
  scrollToSelected() {
    const { id, item } = selection;
    this.lastScrolledId = id;
    if (!item) return;
    this.list.scrollToRow(id);
    timeline.scrollToRow(state.project.objects.indexOf(item));
  }

  /** Show or hide the panels in a narrow window. */
  togglePanels() {
    focusViewIfLost(() => { element('panels').ariaExpanded = String(document.body.classList.toggle('panels-open')); });
    this.scrollToSelected();
  }
}

export const objectPanel = new ObjectPanel();

/** @param {HTMLButtonElement} button @param {string} title @param {string[]} icons off, on @param {boolean} isOn */
function showSwitch(button, title, icons, isOn) {
  button.title = button.ariaLabel = title;
  button.ariaPressed = String(isOn);
  setIcon(button, icons[Number(isOn)]);
}

/** Show the suggestions for a class, each with its key. */
function showClasses() {
  const { classes, schema } = state.project;
  element('classes').replaceChildren(...classes.map((value) => {
    const key = schema.find(({ name }) => name === value)?.key.toUpperCase();
    return createElement('option', { value, label: key ? `Alt+${key}` : '' });
  }));
}

/** Return options to choose an object; their ids tell equal names apart. @param {Item[]} items */
const createOptions = (items) => items.map(({ id, name }) => new Option(`${id}: ${name}`, String(id)));

/** Merge the selected object into another one. */
async function openMerge() {
  const { item: from } = selection;
  const { project, target } = state;
  const others = project.objects.filter((item) => item !== from);
  if (!from || !others.length) return;
  playback.dropCommands(); // they were entered before the dialog showed
  const list = createElement('select', { ariaLabel: 'Object' }, ...createOptions(others));
  const text = createElement('p', {}, 'Move all pixels of ', createElement('b', {}, from.name), ' to ', list);
  if (!(await ask('Merge', text, 'merge'))) return;
  const into = Number(list.value);
  const answer = await queue.edit('merge_objects', { object_id: from.id, into }, target);
  editHistory.offerUndo(answer, `${from.name} merged into ${state.project.getName(into)}`);
}

/** Load the masks of a file. @param {File[]} files */
async function loadMasks([file, ...others]) {
  if (others.length) throw new Error('Load one file at a time; a ZIP can hold several masks.');
  if (!file) return;
  const { frame } = playback;
  const target = selection.getEditTarget();
  const result = await queue.runInOrder({ action: 'load' }, (id) => {
    showMessage('Loading masks…');
    const query = `page=${connection.pageId}&project=${state.project.id}&id=${id}&chosen=${target.id || null}`;
    return sendMasks(file, `masks/${frame}?${query}`);
  });
  showHint('');
  if (result.error) return;
  const { frames, replaced_pixels: replaced, step, unchanged } = result;
  const names = unchanged.map((id) => state.project.getName(id)).join(', ');
  showHint(`Masks loaded on ${formatFrames(frames)}.${names && ` Locked, and unchanged: ${names}.`}`);
  editHistory.reportLosses({ step, result }, 'The loaded masks');
  const texts = Object.entries(replaced).map(([id, count]) => (
    `${state.project.getName(Number(id))} (${formatCount(count, 'pixel')})`));
  if (texts.length) editHistory.offerUndo({ step }, `Drawn masks replaced: ${texts.join(', ')}`);
  if (playback.mayLeave(frame)) await playback.seek(frames.includes(frame) ? frame : frames[0]);
}

/** @returns {Promise<LoadedMasks & {error?: undefined}>} */
async function sendMasks(/** @type {File} */ file, /** @type {string} */ address) {
  queue.addPending(1);
  try {
    return await (await fetchOrThrow(address, { method: 'POST', body: file })).json();
  } catch (/** @type {any} */ { message }) {
    throw new Error(message.replace(/^masks(\.\w+)?:/, () => `${file.name}:`)); // the server does not know the name
  } finally {
    queue.addPending(-1);
  }
}
