/** Keyboard shortcuts: keys by task, names of key presses, dispatch, the dialog that lists them. */

import { createElement, element, elements, focusView, showKey } from './dom.js';
import { focusName } from './objects.js';
import { moveCursor, pressCursor } from './pointers.js';
import { loadSettings, saveSettings } from './settings.js';
import { TOOLS } from './tools.js';

/**
 * Keys, and buttons that do the same, one for each key or one for all; `waitsForFrame`: until the requested one shows.
 * @typedef {{keys: string[], text: string, run: (key: string) => unknown, waitsForFrame: boolean,
 *   buttons?: (keyof import('./protocol.js').Elements)[]}} Binding
 */

/** @type {Record<string, string>} */
const KEY_NAMES = {
  ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', ' ': 'Space', '=': '+',
};

/** Keys identified by their position, whatever the layout. @type {Record<string, string>} */
const KEYS_BY_POSITION = { BracketLeft: '[', BracketRight: ']' };

/** Keys of the timeline's slider, and the keys that do the same elsewhere. @type {Record<string, string>} */
const SLIDER_KEYS = { PageUp: 'Shift+→', PageDown: 'Shift+←' };

/** Return the name of a key press, as in the table of keys. @param {KeyboardEvent} event */
function getKeyName({ key: typed, code, ctrlKey, metaKey, shiftKey }) {
  const control = ctrlKey || metaKey;
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  let key = KEY_NAMES[typed] || (typed.length === 1 ? typed.toUpperCase() : typed);
  if (letter && /^[^ -~]$/.test(typed)) key = letter; // a keyboard without Latin letters
  else if (!control && typed !== '+') key = KEYS_BY_POSITION[code] || key;
  const shift = shiftKey && (key.length > 1 || /[A-Z←→↑↓]/.test(key));
  return (control ? 'Ctrl+' : '') + (shift ? 'Shift+' : '') + key;
}

/** Key presses and buttons, in order; one that changes masks waits for the frame that the user has requested. */
export class CommandQueue {
  constructor(/** @type {import('./main.js').App} */ app) {
    this.app = app;
    this.waiting = /** @type {{run: () => void, waitsForFrame: boolean}[]} */ ([]);
  }

  /** Run a command after those before. @param {() => void} run @param {boolean} waitsForFrame until it shows */
  add(run, waitsForFrame) {
    this.waiting.push({ run, waitsForFrame });
    this.runReady();
  }

  /** Run the commands up to the first one that waits for its frame. */
  runReady() {
    const { waiting, app: { playback } } = this;
    while (waiting.length && (!waiting[0].waitsForFrame || playback.isReady)) waiting.shift()?.run();
  }

  drop() {
    this.waiting.length = 0;
  }
}

/** Connect keys and buttons with what they do. @param {import('./main.js').App} app */
export function connectShortcuts(app) {
  const groups = createBindings(app);
  const bindings = /** @type {Map<string, Binding>} */ (new Map());
  for (const binding of Object.values(groups).flat()) {
    const { keys, run, waitsForFrame, buttons = [] } = binding;
    for (const key of keys) bindings.set(key, binding);
    for (const [index, button] of elements(...buttons).entries()) {
      button.onclick = () => app.commands.add(() => run(keys[index]), waitsForFrame);
      showKey(button, keys[index]);
    }
  }
  document.addEventListener('keydown', (event) => {
    const key = readShortcut(event);
    const binding = bindings.get(key);
    if (!binding) return;
    event.preventDefault();
    if (event.repeat && !/[←→↑↓WASD+[\]-]$|^Page/.test(key)) return; // only keys that move or resize act while held
    if (key === 'Escape') binding.run(key); // drops the queued commands
    else app.commands.add(() => binding.run(key), binding.waitsForFrame);
  });
  showKeys(groups);
}

/** Return the name of a key press, empty while a dialog is open or text is being typed. @param {KeyboardEvent} event */
function readShortcut(event) {
  const target = /** @type {HTMLInputElement} */ (event.target);
  if (document.querySelector('dialog[open]') || event.isComposing || event.altKey) return '';
  const pressed = getKeyName(event);
  const name = (target.role === 'slider' && SLIDER_KEYS[pressed]) || pressed;
  if (loadSettings().singleKeys === false && /^(Shift\+)?([^a-z←→↑↓]|Space|Delete|Backspace)$/.test(name)) return '';
  if (target.matches('input:not([type=checkbox]):not([type=color]), select, textarea')) {
    if (name === 'Escape') {
      if (target.type === 'number') target.value = target.defaultValue;
      target.blur();
    }
    if (name === 'Enter' && target.matches('input')) focusView();
    return '';
  }
  if (target.matches('button, input, a') && (name === 'Space' || name === 'Enter')) return '';
  return target.matches('input') && /Delete|Backspace/.test(name) ? '' : name;
}

/** Fill the dialog of keys. @param {Record<string, Binding[]>} groups by task */
function showKeys(groups) {
  element('single-keys').checked = loadSettings().singleKeys !== false;
  element('single-keys').onchange = () => saveSettings({ singleKeys: element('single-keys').checked });
  element('keys').replaceChildren(...Object.entries(groups).map(([task, table]) => {
    const lines = table.map(({ keys, text }) => createElement('li', {},
      createElement('span', {}, ...keys.map((key) => createElement('kbd', {}, key))), createElement('span', {}, text)));
    return createElement('section', {}, createElement('h3', {}, task), createElement('ul', {}, ...lines));
  }));
}

/** Movement of the frame in CSS pixels. @type {Record<string, [number, number]>} */
const PAN_KEYS = { 'Ctrl+←': [80, 0], 'Ctrl+→': [-80, 0], 'Ctrl+↑': [0, 80], 'Ctrl+↓': [0, -80] };

/**
 * Return a binding of keys separated by spaces; `bindChange`: one that changes masks and waits for the frame.
 * @type {(keys: string, text: string, run: Binding['run'], buttons?: string) => Binding}
 */
const bind = (keys, text, run, buttons) => ({
  keys: keys.split(' '), text, run, waitsForFrame: false,
  buttons: /** @type {Binding['buttons']} */ (buttons?.split(' ')),
});
/** @type {typeof bind} */
const bindChange = (...values) => ({ ...bind(...values), waitsForFrame: true });

/** @param {import('./main.js').App} app @returns {Record<string, Binding[]>} by task */
function createBindings(app) {
  const { history, objectPanel, playback, selection, toolbox, tracking, viewer } = app;
  return {
    Draw: [
      ...TOOLS.map(({ name, key }) => bind(key, name, () => toolbox.setTool(name))),
      bind('U', 'subtract: remove instead of adding, as Shift does', () => toolbox.toggleSubtract(), 'subtract'),
      bind('[ ]', 'smaller, larger brush', (key) => toolbox.resizeBrush(key === '[' ? 1 / 1.2 : 1.2), 'smaller larger'),
      bindChange('Backspace', 'remove the last corner or click', () => toolbox.undoLastInput()),
      bindChange('Ctrl+Enter', 'close the polygon', () => toolbox.close()),
      bind('Escape', 'cancel unfinished input; stop tracking', () => app.escape()),
      bind('Ctrl+Z', 'undo', () => toolbox.removeLastPoint() || history.undo(), 'undo'),
      bind('Ctrl+Shift+Z Ctrl+Y', 'redo', () => history.undoOrRedo('redo'), 'redo'),
    ],
    'Draw without a mouse': [
      bind('W A S D', 'move the cursor', (key) => moveCursor(app, key)),
      bind('Shift+W Shift+A Shift+S Shift+D', 'move the cursor by one pixel', (key) => moveCursor(app, key)),
      bindChange('Enter', 'use the tool at the cursor, or close the polygon', () => pressCursor(app, false)),
      bindChange('Shift+Enter', 'use the tool at the cursor to remove', () => pressCursor(app, true)),
    ],
    Objects: [
      bindChange('N', 'new object', () => objectPanel.addObject(), 'add'),
      bind('↑ ↓', 'previous, next object', (key) => selection.selectNext(key === '↑' ? -1 : 1)),
      bind('1 2 3 4 5 6 7 8 9', 'select an object', (key) => selection.selectIndex(Number(key) - 1)),
      bindChange('Delete Ctrl+Backspace', 'delete the object', () => objectPanel.deleteObject(), 'delete'),
      bind('F2', 'rename the object', focusName),
      bind('I', 'hide or show the object', () => objectPanel.toggleSwitch('hidden')),
      bind('J', 'lock or unlock the object', () => objectPanel.toggleSwitch('locked')),
    ],
    'Masks of this frame': [
      bindChange('F', 'fill holes', () => objectPanel.editMask('fill_holes'), 'holes'),
      bindChange('M', 'mark the object as absent on this frame', () => objectPanel.editMask('mark_absent'), 'absent'),
      bindChange('R', 'remove the drawn masks of this frame', () => history.resetFrame(), 'reset-frame'),
    ],
    'Frames and view': [
      bind('← →', 'previous, next frame', (key) => playback.step(key === '←' ? -1 : 1), 'previous next-frame'),
      bind('Shift+← Shift+→', 'ten frames back or forward', (key) => playback.step(key === 'Shift+←' ? -10 : 10)),
      bind('Home End', 'first, last frame', (key) => playback.seek(key === 'Home' ? 0 : playback.count - 1)),
      bind('Space', 'play or stop', () => playback.togglePlay(), 'play'),
      bind('+ - PageUp PageDown', 'zoom at the pointer',
        (key) => viewer.zoomBy('+PageUp'.includes(key) ? 1.25 : 0.8, viewer.pointer || undefined)),
      bind(Object.keys(PAN_KEYS).join(' '), 'pan', (key) => viewer.pan(...PAN_KEYS[key])),
      bind('0', 'show the whole frame', () => viewer.fit()),
      bind('V', 'show or hide the fill', () => element('fill').click()),
    ],
    Track: [
      bindChange('T', 'track forward', () => tracking.track('forward'), 'track'),
      bindChange('Shift+T', 'track backward', () => tracking.track('backward'), 'backward'),
      bindChange('Y', 'track in both directions', () => tracking.track('both'), 'both'),
      bind('K', 'pause or resume tracking', () => tracking.togglePause(), 'pause'),
      bindChange('Shift+Delete Shift+Backspace', 'clear tracking from this frame on', () => tracking.clearResults(),
        'clear-tracking'),
    ],
    'Review and export': [
      bind('.', 'next frame to check', () => app.review.showNext(), 'next-check'),
      bindChange('Q', 'mark this frame as checked until its masks change', () => app.review.toggleChecked(), 'checked'),
      bind('>', 'next clip of the batch', () => app.clip.openNext(), 'next-clip'),
      bind('Shift+E', 'export', () => app.exporter.open(), 'export'),
      bind('?', 'keyboard shortcuts', () => element('help-dialog').showModal(), 'help'),
    ],
  };
}
