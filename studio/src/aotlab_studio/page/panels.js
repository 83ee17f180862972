// @ts-check
/** Panels and dialogs: buttons and fields with their actions, list of objects, undo, export, merging. */

import {
  connectPerson, countText, createElement, drawIcon, element, elements, focusView, iconButton, onSubmit, readNumber, replaceChildren, toast,
} from './dom.js';
import { watchPointers } from './pointers.js';
import { describeRow } from './timeline.js';
import { TOOLS } from './tools.js';

/** @typedef {import('./main.js').App} App */
/** @typedef {import('./protocol.js').Elements} Elements */

/** Buttons that work while a frame is loading. */
const UNBLOCKED_BUTTONS = ['panels', 'next-clip', 'export', 'help', 'pause', 'stop', 'next', 'play', 'previous', 'following', 'undo', 'redo', 'zoom-in', 'zoom-out'];

/** @param {App} app */
export function connectControls(app) {
  returnFocus();
  makeTools(app);
  for (const [id, run] of /** @type {[keyof Elements, () => void][]} */ (Object.entries(buttonActions(app)))) element(id).onclick = () => app.inputs.add(run, !UNBLOCKED_BUTTONS.includes(id));
  const { viewer } = app;
  element('load').onchange = () => loadMasks(app).catch((error) => app.showError(error));
  for (const box of elements('fill', 'outline')) box.onchange = () => viewer.setStyle({ [box.id]: box.checked });
  element('note').onchange = () => app.review.storeNote();
  const fields = element('object-fields');
  const change = (/** @type {import('./protocol.js').ItemChanges} */ changes) => app.change(Number(fields.dataset.object), changes);
  element('class').onchange = () => change({ class_name: element('class').value.trim() });
  element('attributes').onchange = () => change({ attributes: readAttributes() });
  fields.addEventListener('focusout', ({ relatedTarget }) => {
    if (!fields.contains(/** @type {Node | null} */ (relatedTarget))) showFields(app.chosenItem);
  });
  connectPerson(() => app.connection.socket?.close()); // the next connection has the name
  element('opacity').oninput = () => viewer.setStyle({ opacity: Number(element('opacity').value) });
  watchPointers(viewer, app.toolbox);
}

/** Return the focus to the frame after a button, box or list was used with the pointer, so that keys act on the frame. */
function returnFocus() {
  const back = (/** @type {Event} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!target.closest('button, input[type=checkbox], input[type=range], select, summary, a') || target.closest('dialog')) return;
    if (event instanceof MouseEvent && event.detail === 0) return; // from the keyboard
    if (event.type === 'click' && target.closest('select')) return;
    if (!document.activeElement?.matches('input[type=text]')) focusView(); // unless the choice asks for a text
  };
  document.addEventListener('click', back, true);
  document.addEventListener('change', back);
}

/** @param {App} app @returns {Record<string, () => void>} by the button's id */
function buttonActions(app) {
  const { playback, tracking, review } = app;
  return {
    'next-clip': () => app.clip.next(), 'open-versions': () => app.versions.open(), panels: () => togglePanels(),
    undo: () => app.history.undo(), redo: () => app.history.redo(), export: () => app.exporter.open(), help: () => element('help-dialog').showModal(),
    add: () => app.addObject(), delete: () => app.deleteObject(), merge: () => openMerge(app),
    holes: () => app.send('fill_holes'), absent: () => app.send('clear'), 'reset-frame': () => app.history.resetFrame(),
    track: () => tracking.track('forward'), forward: () => tracking.track('forward'), backward: () => tracking.track('backward'), both: () => tracking.track('both'),
    drop: () => tracking.drop(), pause: () => tracking.pause(), stop: () => app.send('stop'),
    'zoom-in': () => app.timeline.zoomBy(1 / 2), 'zoom-out': () => app.timeline.zoomBy(2), next: () => review.next(), checked: () => review.toggleChecked(),
    play: () => playback.toggle(), previous: () => playback.step(-1), following: () => playback.step(1),
  };
}

/** Show or hide the panels of a narrow window. */
function togglePanels() {
  element('panels').setAttribute('aria-expanded', String(document.body.classList.toggle('unfolded')));
}

/** @param {App} app */
function makeTools(app) {
  for (const { name, key, icon, help } of TOOLS) {
    const button = createElement('button', { title: help, onclick: () => app.toolbox.choose(name) }, drawIcon(icon), createElement('span', {}, name));
    Object.assign(button.dataset, { tool: name, key });
    element('tools').append(button);
  }
  const title = 'Minus: remove instead of adding, as Shift does';
  const minus = createElement('button', { id: 'minus', title, onclick: () => app.toolbox.invert() }, drawIcon('circle-minus'), createElement('span', {}, 'minus'));
  minus.dataset.key = 'U';
  const sizes = createElement(
    'div', { id: 'sizes' }, iconButton('minus', 'Smaller brush', { onclick: () => app.toolbox.resize(1 / 1.2) }),
    iconButton('plus', 'Larger brush', { onclick: () => app.toolbox.resize(1.2) }),
  );
  element('tools').append(minus, createElement('output', { ariaLabel: 'brush size' }), sizes);
  showTools(app.toolbox);
}

/** Show which tool is chosen, and the size of the brush. @param {import('./tools.js').Toolbox} toolbox */
export function showTools(toolbox) {
  document.querySelector('#minus')?.setAttribute('aria-pressed', String(toolbox.inverse));
  for (const button of document.querySelectorAll('#tools [data-tool]')) {
    button.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (button).dataset.tool === toolbox.tool.name));
  }
  const size = document.querySelector('#tools output');
  if (size) size.textContent = `${toolbox.radius.toFixed(toolbox.radius < 10 ? 1 : 0)} px`;
}

/** @param {App} app */
async function loadMasks(app) {
  const file = element('load').files?.[0];
  element('load').value = '';
  if (!file) return;
  app.showMessage('Loading the masks…');
  const address = `masks/${app.playback.frame}?page=${app.connection.page}&chosen=${app.chosen || null}`;
  let answer = await fetch(address, { method: 'POST', body: file });
  if (answer.status === 409) {
    const targets = await askObjects(await answer.json(), app);
    app.showMessage('');
    if (!targets) return;
    answer = await fetch(`${address}&targets=${encodeURIComponent(JSON.stringify(targets))}`, { method: 'POST', body: file });
  }
  if (!answer.ok) {
    app.showMessage(await answer.text(), true);
    return;
  }
  const { frames } = await answer.json();
  app.showMessage(frames.length > 1 ? `Masks on ${frames.length} frames, from ${frames[0]} to ${frames[frames.length - 1]}` : `A mask on frame ${frames[0]}`);
  await app.playback.seek(frames.includes(app.playback.frame) ? app.playback.frame : frames[0]);
}

/**
 * Ask which objects those of a file are.
 * @param {{id: number, name: string, target: number | null}[]} objects
 * @param {App} app
 * @returns {Promise<Record<number, number | null> | undefined>} object by id in the file, null: a new one; undefined: cancelled
 */
async function askObjects(objects, app) {
  const lists = objects.map(({ target }) => {
    const known = app.objects.map(({ id, name }) => createElement('option', { value: String(id) }, `${id}: ${name}`));
    const list = createElement('select', {}, createElement('option', { value: '' }, 'a new object'), ...known);
    list.value = target ? String(target) : '';
    return list;
  });
  element('file-objects').replaceChildren(...objects.map(({ id, name }, index) => createElement(
    'li', {}, createElement('label', {}, `${name || 'object'} (${id} in the file) is `, lists[index]),
  )));
  const answer = await ask(element('objects-dialog'));
  return answer ? Object.fromEntries(objects.map(({ id }, index) => [id, Number(lists[index].value) || null])) : undefined;
}

/** Show a dialog; return the value of the button that closes it, empty if cancelled. @param {HTMLDialogElement} dialog @returns {Promise<string>} */
function ask(dialog) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => { dialog.onclose = () => resolve(dialog.returnValue); });
}

/** @typedef {import('./protocol.js').Item} Item */

/** @param {HTMLElement} list @param {Item[]} objects @param {import('./main.js').App} app */
export function showObjects(list, objects, app) {
  // shown again when the name is typed or the colour chosen
  if (list.querySelector('input[type=text], input[type=color]:focus')) return;
  replaceChildren(list, objects.map((item) => row(item, app)));
}

/** @param {Item} item @param {import('./main.js').App} app */
function row(item, app) {
  const { id, name, color, class_name: className } = item;
  const change = (/** @type {import('./protocol.js').ItemChanges} */ changes) => app.change(id, changes);
  const swatch = createElement('input', { type: 'color', value: color, ariaLabel: `Colour of ${name}` });
  swatch.onchange = () => {
    swatch.blur();
    change({ color: swatch.value });
  };
  const choose = createElement(
    'button', { name: `choose${id}`, className: 'choose', title: `${name}: choose; double click renames`, ariaPressed: String(id === app.chosen) },
    createElement('span', { className: 'name' }, name), createElement('span', { className: 'class' }, className === name ? '' : className),
    createElement('span', { className: 'visually-hidden' }, `, ${describeRow(app.timeline.rows.get(id))}`),
  );
  // the first click of two replaces the list, so there is no dblclick
  choose.onclick = (event) => (event.detail > 1 ? rename(choose, name, change, app) : app.choose(id));
  const button = (/** @type {string} */ what, /** @type {string} */ icon, /** @type {boolean} */ pressed, /** @type {() => void} */ onclick) => iconButton(
    icon, `${what} ${name}`, { name: `${what}${id}`, className: 'small', ariaPressed: String(pressed), onclick },
  );
  return createElement(
    'li', { className: id === app.chosen ? 'chosen' : '' }, swatch, choose,
    button('Rename', 'pencil', false, () => rename(choose, name, change, app)),
    button('Hide', item.hidden ? 'eye-off' : 'eye', item.hidden, () => change({ hidden: !item.hidden })),
    button('Lock', item.locked ? 'lock' : 'lock-open', item.locked, () => change({ locked: !item.locked })),
  );
}

/** Offer the classes of the project. @param {string[]} names */
export function showClasses(names) {
  element('classes').replaceChildren(...names.map((value) => createElement('option', { value })));
}

/** Show class and attributes of the chosen object, unless they are being typed. @param {Item | undefined} item */
export function showFields(item) {
  const fields = element('object-fields');
  fields.hidden = !item;
  if (!item || fields.contains(document.activeElement)) return;
  fields.dataset.object = String(item.id);
  element('class').value = item.class_name;
  element('attributes').value = Object.entries(item.attributes).map(([name, value]) => `${name}=${value}`).join(', ');
}

/** Return the attributes in their field; a name without a value is true. @returns {Record<string, string>} */
function readAttributes() {
  const pairs = element('attributes').value.split(',').map((text) => text.split('='));
  return Object.fromEntries(pairs.map(([name, ...value]) => [name.trim(), value.join('=').trim() || 'true']).filter(([name]) => name));
}

/** Rename the chosen object. @param {App} app */
export function renameChosen(app) {
  const { chosen } = app;
  const button = element('objects').querySelector(`[name=choose${chosen}]`);
  if (button instanceof HTMLElement) rename(button, app.getName(chosen), (changes) => app.change(chosen, changes), app);
}

/**
 * Replace the name by a text field.
 * @param {HTMLElement} button
 * @param {string} name
 * @param {(changes: import('./protocol.js').ItemChanges) => void} change
 * @param {App} app
 */
function rename(button, name, change, app) {
  const field = createElement('input', { type: 'text', value: name, maxLength: 60, ariaLabel: `New name of ${name}` });
  const finish = (/** @type {boolean} */ keep) => {
    field.onblur = null;
    if (keep && field.value.trim() && field.value !== name) change({ name: field.value.trim() });
    field.replaceWith(button);
    showObjects(element('objects'), app.objects, app);
  };
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key !== 'Enter' && event.key !== 'Escape') return;
    finish(event.key === 'Enter');
    focusView();
  };
  field.onblur = () => finish(true);
  button.replaceWith(field);
  field.select();
}

/**
 * Ask what to do about outdated frames; return the chosen value, empty if cancelled.
 * @param {import('./connection.js').Refusal} refusal
 */
export async function askOutdated(refusal) {
  element('outdated-text').textContent = refusal.message;
  element('outdated-wait').hidden = !refusal.choices.includes('wait');
  return /** @type {'' | 'wait' | 'proceed'} */ (await ask(element('outdated-dialog')));
}

export class History {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
  }

  /** @param {(string | null)[]} titles of the steps that undo and redo would take */
  setTitles(titles) {
    for (const [index, button] of elements('undo', 'redo').entries()) {
      button.disabled = !titles[index];
      button.title = titles[index] || '';
    }
  }

  /**
   * Show a message about a step with a button that undoes it, if it still is the last.
   * @param {{step: number} | undefined} answer undefined: it failed
   * @param {string} text
   */
  offer(answer, text) {
    if (answer) toast(text, { Undo: () => this.undo(answer.step) });
  }

  /** Say how many pixels other objects lost. @param {{step: number, result: import('./protocol.js').EditResult} | undefined} answer */
  reportTaken(answer) {
    if (!answer) return;
    const { app } = this;
    const { object_id: id, losses } = answer.result;
    const texts = Object.entries(losses).map(([other, count]) => `${countText(count, 'pixel')} of ${app.getName(Number(other))}`);
    if (texts.length) this.offer(answer, `${app.getName(id)} took ${texts.join(', ')}`);
  }

  /** Undo the last corner or click; without one, the last step. @param {number} [step] undo only this step */
  async undo(step) {
    const { toolbox } = this.app;
    if (step === undefined && toolbox.begun && !toolbox.dropLast()) return;
    this.report((await this.app.send('undo', { step }))?.result, 'undone');
  }

  async redo() {
    this.report((await this.app.send('redo'))?.result, 'redone');
  }

  /** @param {{title: string, frame: number | null} | undefined | null} step @param {string} what */
  report(step, what) {
    if (!step) return;
    this.app.showMessage(`${step.title}: ${what}`);
    if (step.frame !== null) this.app.playback.seek(step.frame);
  }

  /** Remove the last corner or click; without one, the object. */
  deleteKey() {
    if (this.app.toolbox.begun) this.undo();
    else this.app.deleteObject();
  }

  async resetFrame() {
    const { frame } = this.app.playback;
    this.offer(await this.app.send('remove_keyframe'), `Drawn masks of frame ${frame} are removed`);
  }
}

/** Outputs that are chosen together. @type {Record<string, string[]>} */
const PRESETS = {
  masks: ['masks', 'overlay'], editor: ['mattes', 'prores'], CVAT: ['cvat'], COCO: ['coco', 'review'],
};

export class Exporter {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    onSubmit(element('export-start'), () => this.start());
    element('presets').append(...Object.entries(PRESETS).map(([name, outputs]) => createElement('button', {
      type: 'button', onclick: () => { for (const box of this.boxes) box.checked = outputs.includes(box.name); },
    }, name)));
    element('export-annotated').onclick = () => {
      const frames = app.timeline.annotated();
      element('export-first').value = frames ? String(frames[0]) : '';
      element('export-last').value = frames ? String(frames[1]) : '';
    };
    element('export-clips').onclick = () => this.startClips();
    element('export-cancel').onclick = () => this.app.send('cancel_export');
  }

  /** @param {import('./protocol.js').Choice[]} outputs */
  setNames(outputs) {
    const fields = element('outputs');
    const legend = /** @type {HTMLLegendElement} */ (fields.firstElementChild);
    fields.replaceChildren(legend, ...outputs.map(({ value, text }) => createElement(
      'label', {}, createElement('input', { type: 'checkbox', name: value, checked: PRESETS.masks.includes(value) }), ` ${text}`,
    )));
  }

  /** Boxes of the outputs. */
  get boxes() {
    return [.../** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('#outputs input'))];
  }

  /** Names of the chosen outputs. */
  get names() {
    return this.boxes.filter((box) => box.checked).map((box) => box.name);
  }

  open() {
    element('download').hidden = true;
    element('export-missing').textContent = '';
    element('export-dialog').showModal();
  }

  async start() {
    const done = await this.run('export', { names: this.names, first: readNumber('export-first'), last: readNumber('export-last') });
    if (!done) return;
    const { archive, missing, unclassed } = done;
    Object.assign(element('download'), { hidden: false, textContent: `Download ${archive}` });
    const texts = [];
    if (unclassed) texts.push(`${countText(unclassed, 'object')} without a class: “object” in annotation files.`);
    if (missing) texts.push(`${missing} ${missing === 1 ? 'frame has' : 'frames have'} no result: left out of masks and annotation files, plain in videos. CVAT ends objects before them.`);
    element('export-missing').textContent = texts.join(' ');
    if (!document.activeElement?.matches('input')) element('download').focus(); // nobody types
  }

  /** Write all corrected clips into the results of their list. */
  async startClips() {
    const done = await this.run('export_clips', { names: this.names });
    if (!done) return;
    const { names, problems } = done;
    element('export-missing').textContent = [`${names.length} corrected ${names.length === 1 ? 'clip' : 'clips'} exported: ${names.join(', ')}.`, ...problems].join(' ');
  }

  /**
   * Run an export; the dialog shows its progress, and why it was refused.
   * @template {'export' | 'export_clips'} A
   * @param {A} action
   * @param {import('./main.js').Values<A>} values
   */
  async run(action, values) {
    const show = (/** @type {boolean} */ running) => {
      element('export-start').disabled = element('export-clips').disabled = running;
      element('export-progress').hidden = element('export-cancel').hidden = !running;
    };
    element('export-progress').value = 0;
    element('export-missing').textContent = '';
    element('download').hidden = true;
    show(true);
    const answer = await this.app.send(action, values);
    show(false);
    if (!answer) element('export-missing').textContent = element('status').textContent;
    return answer?.result;
  }

  /** @param {{done: number, total: number}} event */
  progress(event) {
    element('export-progress').value = event.done / event.total;
  }
}

/** @param {import('./main.js').App} app */
async function openMerge(app) {
  const from = app.chosenItem;
  const others = app.objects.filter((item) => item.id !== app.chosen);
  if (!from || !others.length) return;
  element('merge-from').textContent = from.name;
  element('merge-into').replaceChildren(...others.map((item) => createElement('option', { value: String(item.id) }, item.name)));
  if (await ask(element('merge-dialog')) !== 'merge') return;
  const into = Number(element('merge-into').value);
  const answer = await app.send('merge_objects', { object_id: from.id, into });
  app.history.offer(answer, `${from.name} is merged into ${app.getName(into)}`);
}
