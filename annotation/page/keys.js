// @ts-check
/** All keys, in one table that also makes the help. */

import { moveCursor, pressCursor } from './cursor.js';
import { openHelp } from './dialogs.js';
import { make } from './page.js';
import { singleKeys } from './preferences.js';
import { TOOLS } from './tools.js';

/** @typedef {{keys: string[], text: string, run: (event: KeyboardEvent) => void, acts?: boolean}} Binding */

/**
 * @param {import('./main.js').App} app
 * @returns {Binding[]}
 */
export function bindings(app) {
  const { toolbox, viewer, playback, tracking } = app;
  return [
    ...TOOLS.map(({ name, key, hint }) => ({ keys: [key], text: hint.split(':')[0], run: () => toolbox.choose(name) })),
    { keys: ['U'], text: 'take away instead, as Shift does', run: () => toolbox.invert() },
    { keys: ['[', ']'], text: 'smaller, larger brush', run: (e) => toolbox.resize(nameOf(e) === '[' ? 1 / 1.2 : 1.2) },
    { keys: ['W', 'A', 'S', 'D', 'Shift+W', 'Shift+A', 'Shift+S', 'Shift+D'], text: 'move the cursor (Shift: one pixel)', run: (e) => moveCursor(app, nameOf(e)) },
    { keys: ['Enter', 'Shift+Enter'], text: 'press and lift the tool at the cursor (Shift: minus); without a cursor, close the polygon', run: (e) => pressCursor(app, e), acts: true },
    { keys: ['Ctrl+Enter'], text: 'close the polygon', run: () => toolbox.close(), acts: true },
    { keys: ['Escape'], text: 'drop what was begun; stop tracking', run: () => app.escape() },
    { keys: ['Ctrl+Z'], text: 'undo', run: () => app.undo() },
    { keys: ['Ctrl+Shift+Z', 'Ctrl+Y'], text: 'redo', run: () => app.redo() },
    { keys: ['←', '→'], text: 'one frame back, on', run: (e) => playback.step(e.key === 'ArrowLeft' ? -1 : 1) },
    { keys: ['Shift+←', 'Shift+→'], text: 'ten frames back, on', run: (e) => playback.step(e.key === 'ArrowLeft' ? -10 : 10) },
    { keys: ['Home', 'End'], text: 'first, last frame', run: (e) => playback.seek(e.key === 'Home' ? 0 : playback.count - 1) },
    { keys: ['Space'], text: 'play, stop', run: () => playback.play() },
    { keys: ['↑', '↓'], text: 'object before, after', run: (e) => app.chooseNext(e.key === 'ArrowUp' ? -1 : 1) },
    { keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'], text: 'choose an object', run: (e) => app.chooseIndex(Number(e.key) - 1) },
    { keys: ['N'], text: 'new object', run: () => app.addObject(), acts: true },
    { keys: ['Delete'], text: 'delete the object; remove a corner or click in hand', run: () => app.deleteKey() },
    { keys: ['F'], text: 'fill holes', run: () => app.send('fill_holes'), acts: true },
    { keys: ['M'], text: 'the object is not on this frame', run: () => app.send('clear'), acts: true },
    { keys: ['R'], text: 'remove what was given on this frame', run: () => app.resetFrame(), acts: true },
    { keys: ['T'], text: 'track forward', run: () => tracking.track('forward'), acts: true },
    { keys: ['Shift+T'], text: 'track backward', run: () => tracking.track('backward'), acts: true },
    { keys: ['Y'], text: 'track in both directions', run: () => tracking.track('both'), acts: true },
    { keys: ['Shift+Delete'], text: 'drop what was tracked from this frame on', run: () => tracking.drop(), acts: true },
    { keys: ['Q'], text: 'take a frame of the stream', run: () => tracking.takeFrame(), acts: true },
    { keys: ['Shift+Q'], text: 'go live: track the stream', run: () => tracking.goLive(), acts: true },
    { keys: ['K'], text: 'pause tracking, go on', run: () => tracking.pause() },
    { keys: ['.'], text: 'next frame to check', run: () => app.review.next() },
    { keys: ['+', '-', 'PageUp', 'PageDown'], text: 'zoom at the pointer', run: (e) => viewer.zoomBy(['-', 'PageDown'].includes(e.key) ? 1 / 1.25 : 1.25, viewer.pointer || undefined) },
    { keys: ['Ctrl+←', 'Ctrl+→', 'Ctrl+↑', 'Ctrl+↓'], text: 'pan', run: (e) => viewer.pan(...PANS[e.key]) },
    { keys: ['0'], text: 'show the whole frame', run: () => viewer.fit() },
    { keys: ['V'], text: 'outline only, or filled', run: () => app.toggleFill() },
    { keys: ['I'], text: 'hide or show the object', run: () => app.toggle('hidden') },
    { keys: ['J'], text: 'lock or unlock the object', run: () => app.toggle('locked') },
    { keys: ['Shift+E'], text: 'export', run: () => app.exporter.open() },
    { keys: ['?'], text: 'this help', run: openHelp },
  ];
}

const NAMES = /** @type {Record<string, string>} */ ({
  ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', ' ': 'Space', Backspace: 'Delete', '=': '+',
});

/** Keys by their place on the keyboard, whatever is printed there. */
const PLACES = /** @type {Record<string, string>} */ ({ KeyW: 'W', KeyA: 'A', KeyS: 'S', KeyD: 'D', BracketLeft: '[', BracketRight: ']' });

const STEP = 80;
const PANS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] });

/**
 * The name of a key press as the table has it.
 * @param {KeyboardEvent} event
 */
export function nameOf(event) {
  const control = event.ctrlKey || event.metaKey ? 'Ctrl+' : '';
  let key = NAMES[event.key] || (event.key.length === 1 ? event.key.toUpperCase() : event.key);
  if (!control && PLACES[event.code]) key = PLACES[event.code];
  // the letter that W A S D took the place of has theirs in turn
  else if (!control && 'WASD'.includes(key) && /^Key[A-Z]$/.test(event.code)) key = event.code[3];
  const shift = event.shiftKey && (key.length > 1 || /[A-Z←→↑↓]/.test(key)) ? 'Shift+' : '';
  return control + shift + key;
}

/**
 * Call what is bound to a key, unless someone is typing or a dialog is open.
 * @param {Binding[]} table
 * @param {import('./inputs.js').Inputs} inputs
 */
export function listen(table, inputs) {
  /** @type {Map<string, Binding>} */
  const byName = new Map();
  for (const binding of table) for (const key of binding.keys) byName.set(key, binding);
  document.addEventListener('keydown', (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector('dialog[open]') || event.isComposing || event.altKey) return;
    const name = nameOf(event);
    if (!singleKeys() && /^(Shift\+)?[^a-z]$/.test(name) && !/[←→↑↓]/.test(name)) return;
    if (target.matches('input:not([type=checkbox]):not([type=color]), select, textarea')) {
      if (name === 'Escape') target.blur();
      return;
    }
    if (target.matches('button, input, a') && (name === 'Space' || name === 'Enter')) return;
    const binding = byName.get(name);
    if (!binding) return;
    event.preventDefault();
    inputs.add(() => binding.run(event), Boolean(binding.acts));
  });
}

/**
 * @param {Binding[]} table
 * @param {HTMLElement} list
 */
export function fillHelp(table, list) {
  for (const { keys, text } of table) {
    const line = make('li', {});
    const names = make('span', {});
    for (const key of keys.length > 4 ? [`${keys[0]} … ${keys[keys.length - 1]}`] : keys) {
      names.append(make('kbd', { textContent: key }), ' ');
    }
    line.append(names, make('span', { textContent: text }));
    list.append(line);
  }
}
