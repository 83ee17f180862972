/** Keyboard shortcuts: keys by task, names of key presses, dispatch, the dialog that lists them. */

import { createElement, element, focusView } from './dom.js';
import { focusName } from './objects.js';
import { moveCursor, pressCursor } from './pointers.js';
import { loadSettings, saveSettings } from './settings.js';
import { TOOLS } from './tools.js';

/**
 * Keys, and buttons that do the same.
 * @typedef {object} Binding
 * @property {string[]} keys
 * @property {string} text
 * @property {(key: string) => void} run
 * @property {boolean} [changesFrame] whether it changes the frame that is shown, and waits for it
 * @property {(keyof import('./protocol.js').Elements)[]} [buttons]
 * @property {() => void} [click] what the buttons do, if not `run`
 */

/** @type {Record<string, string>} */
const KEY_NAMES = {
  ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', ' ': 'Space', Backspace: 'Delete', '=': '+',
};

/** Keys identified by their position, whatever the layout. @type {Record<string, string>} */
const KEYS_BY_POSITION = { KeyW: 'W', KeyA: 'A', KeyS: 'S', KeyD: 'D', BracketLeft: '[', BracketRight: ']' };

/** Return the name of a key press, as in the table of keys. @param {KeyboardEvent} event */
function keyName(event) {
  const control = event.ctrlKey || event.metaKey ? 'Ctrl+' : '';
  let key = KEY_NAMES[event.key] || (event.key.length === 1 ? event.key.toUpperCase() : event.key);
  // on a keyboard without Latin letters, the key's place names the letter
  if (/^Key[A-Z]$/.test(event.code) && !/^[ -~]$/.test(event.key) && event.key.length === 1) key = event.code[3];
  if (!control && event.key !== '+' && KEYS_BY_POSITION[event.code]) key = KEYS_BY_POSITION[event.code];
  // the letter displaced by W, A, S or D takes the name of that key
  else if (!control && 'WASD'.includes(key) && /^Key[A-Z]$/.test(event.code)) key = event.code[3];
  const shift = event.shiftKey && (key.length > 1 || /[A-Z←→↑↓]/.test(key)) ? 'Shift+' : '';
  return control + shift + key;
}

export class Shortcuts {
  /** @param {Record<string, Binding[]>} groups bindings by task @param {import('./queue.js').Inputs} inputs */
  constructor(groups, inputs) {
    this.groups = groups;
    this.inputs = inputs;
    /** @type {Map<string, Binding>} */
    this.bindings = new Map();
    for (const binding of Object.values(groups).flat()) {
      for (const key of binding.keys) this.bindings.set(key, binding);
      binding.buttons?.forEach((id, index) => this.connectButton(element(id), binding, binding.keys[index] ?? binding.keys[0]));
    }
    document.addEventListener('keydown', (event) => this.press(event));
  }

  /**
   * Let a button do what a key does, or `click`, and name the key in its title.
   * @param {HTMLElement} button
   * @param {Binding} binding
   * @param {string} key
   */
  connectButton(button, { run, click = () => run(key), changesFrame }, key) {
    button.onclick = () => this.inputs.add(click, Boolean(changesFrame));
    showKey(button, key);
  }

  /** Run the binding of a key, unless a dialog is open or text is being typed. @param {KeyboardEvent} event */
  press(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector('dialog[open]') || event.isComposing || event.altKey) return;
    const name = keyName(event);
    if (loadSettings().singleKeys === false && /^(Shift\+)?([^a-z←→↑↓]|Space|Delete)$/.test(name)) return;
    if (target.matches('input:not([type=checkbox]):not([type=color]), select, textarea')) {
      if (name === 'Escape') target.blur();
      if (name === 'Enter' && target.matches('input')) focusView();
      return;
    }
    if (target.matches('button, input, a') && (name === 'Space' || name === 'Enter')) return;
    if (target.matches('input') && name.endsWith('Delete')) return;
    const binding = this.bindings.get(name);
    if (!binding) return;
    event.preventDefault();
    if (name === 'Escape') binding.run(name); // drops the queued inputs
    else this.inputs.add(() => binding.run(name), Boolean(binding.changesFrame));
  }
}

/** Name a key in the title of a button. @param {HTMLElement} button @param {string} key */
export function showKey(button, key) {
  button.setAttribute('aria-keyshortcuts', key.replace('Ctrl', 'Control'));
  button.title = `${button.title || button.getAttribute('aria-label') || button.textContent || ''} (${key})`;
}

/** Fill the dialog of keys. @param {Shortcuts} shortcuts */
export function showKeys({ groups }) {
  element('single-keys').checked = loadSettings().singleKeys !== false;
  element('single-keys').onchange = () => saveSettings({ singleKeys: element('single-keys').checked });
  element('keys').replaceChildren(...Object.entries(groups).map(([task, table]) => {
    const lines = table.map(({ keys, text }) => createElement('li', {},
      createElement('span', {}, ...keys.map((key) => createElement('kbd', { textContent: key }))),
      createElement('span', { textContent: text })));
    return createElement('section', {}, createElement('h3', { textContent: task }), createElement('ul', {}, ...lines));
  }));
}

const PAN_STEP = 80;
/** @type {Record<string, [number, number]>} */
const PAN_KEYS = { 'Ctrl+←': [PAN_STEP, 0], 'Ctrl+→': [-PAN_STEP, 0], 'Ctrl+↑': [0, PAN_STEP], 'Ctrl+↓': [0, -PAN_STEP] };

/** @param {import('./main.js').App} app @returns {Record<string, Binding[]>} by task */
export function createBindings(app) {
  const { toolbox, viewer, playback, tracking, selection } = app;
  return {
    Draw: [
      ...TOOLS.map(({ name, key }) => ({ keys: [key], text: name, run: () => toolbox.setTool(name) })),
      { keys: ['U'], text: 'subtract: remove instead of adding, as Shift does', run: () => toolbox.toggleSubtract(), buttons: ['subtract'] },
      { keys: ['[', ']'], text: 'smaller, larger brush', run: (key) => toolbox.resize(key === '[' ? 1 / 1.2 : 1.2), buttons: ['smaller', 'larger'] },
      { keys: ['Ctrl+Enter'], text: 'close the polygon', run: () => toolbox.close(), changesFrame: true },
      { keys: ['Escape'], text: 'cancel unfinished input; stop tracking', run: () => app.escape(), buttons: ['stop'], click: () => tracking.stop() },
      { keys: ['Ctrl+Z'], text: 'undo', run: () => app.history.undoKey(), buttons: ['undo'] },
      { keys: ['Ctrl+Shift+Z', 'Ctrl+Y'], text: 'redo', run: () => app.history.redo(), buttons: ['redo'] },
    ],
    'Draw without a mouse': [
      { keys: ['W', 'A', 'S', 'D'], text: 'move the cursor', run: (key) => moveCursor(app, key) },
      { keys: ['Shift+W', 'Shift+A', 'Shift+S', 'Shift+D'], text: 'move the cursor by one pixel', run: (key) => moveCursor(app, key) },
      { keys: ['Enter'], text: 'use the tool at the cursor, or close the polygon', run: () => pressCursor(app, false), changesFrame: true },
      { keys: ['Shift+Enter'], text: 'use the tool at the cursor to remove', run: () => pressCursor(app, true), changesFrame: true },
    ],
    Objects: [
      { keys: ['N'], text: 'new object', run: () => app.addObject(), changesFrame: true, buttons: ['add'] },
      { keys: ['↑', '↓'], text: 'previous, next object', run: (key) => selection.selectNext(key === '↑' ? -1 : 1) },
      { keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'], text: 'select an object', run: (key) => selection.selectIndex(Number(key) - 1) },
      { keys: ['Delete'], text: 'delete the object, last corner or click', run: () => app.history.deleteKey(), changesFrame: true, buttons: ['delete'], click: () => app.deleteObject() },
      { keys: ['F2'], text: 'rename the object', run: focusName },
      { keys: ['I'], text: 'hide or show the object', run: () => app.toggle('hidden') },
      { keys: ['J'], text: 'lock or unlock the object', run: () => app.toggle('locked') },
    ],
    'Masks of this frame': [
      { keys: ['F'], text: 'fill holes', run: async () => app.history.reportLosses(await app.editMask('fill_holes')), changesFrame: true, buttons: ['holes'] },
      { keys: ['M'], text: 'mark the object as absent on this frame', run: () => app.editMask('clear'), changesFrame: true, buttons: ['absent'] },
      { keys: ['R'], text: 'remove the drawn masks of this frame', run: () => app.history.resetFrame(), changesFrame: true, buttons: ['reset-frame'] },
    ],
    'Frames and view': [
      { keys: ['←', '→'], text: 'previous, next frame', run: (key) => playback.step(key === '←' ? -1 : 1), buttons: ['previous', 'next-frame'] },
      { keys: ['Shift+←', 'Shift+→'], text: 'ten frames back or forward', run: (key) => playback.step(key === 'Shift+←' ? -10 : 10) },
      { keys: ['Home', 'End'], text: 'first, last frame', run: (key) => playback.seek(key === 'Home' ? 0 : playback.count - 1) },
      { keys: ['Space'], text: 'play or stop', run: () => playback.toggle(), buttons: ['play'] },
      { keys: ['+', '-', 'PageUp', 'PageDown'], text: 'zoom at the pointer', run: (key) => viewer.zoomBy('+PageUp'.includes(key) ? 1.25 : 0.8, viewer.pointer || undefined) },
      { keys: Object.keys(PAN_KEYS), text: 'pan', run: (key) => viewer.pan(...PAN_KEYS[key]) },
      { keys: ['0'], text: 'show the whole frame', run: () => viewer.fit() },
      { keys: ['V'], text: 'show or hide the fill', run: () => element('fill').click() },
    ],
    Track: [
      { keys: ['T'], text: 'track forward', run: () => tracking.track('forward'), changesFrame: true, buttons: ['track'] },
      { keys: ['Shift+T'], text: 'track backward', run: () => tracking.track('backward'), changesFrame: true, buttons: ['backward'] },
      { keys: ['Y'], text: 'track in both directions', run: () => tracking.track('both'), changesFrame: true, buttons: ['both'] },
      { keys: ['K'], text: 'pause or resume tracking', run: () => tracking.pause(), buttons: ['pause'] },
      { keys: ['Shift+Delete'], text: 'clear tracking from this frame on', run: () => tracking.clear(), changesFrame: true, buttons: ['clear-tracking'] },
    ],
    'Review and export': [
      { keys: ['.'], text: 'next frame to check', run: () => app.review.next(), buttons: ['next-check'] },
      { keys: ['Q'], text: 'mark this frame as checked until its masks change', run: () => app.review.toggleChecked(), changesFrame: true, buttons: ['checked'] },
      { keys: ['>'], text: 'next clip of the batch', run: () => app.clip.next(), buttons: ['next-clip'] },
      { keys: ['Shift+E'], text: 'export', run: () => app.exporter.open(), buttons: ['export'] },
      { keys: ['?'], text: 'keyboard shortcuts', run: () => element('help-dialog').showModal(), buttons: ['help'] },
    ],
  };
}
