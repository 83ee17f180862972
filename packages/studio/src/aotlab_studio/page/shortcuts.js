/** Keyboard shortcuts: keys by task, names of key presses, dispatch, the dialog that lists them. */

import { createElement, element, elements, FIELDS, focusView, showKey } from './dom.js';
import { exporter } from './exporter.js';
import { isShortcut } from './fields.js';
import { editHistory } from './history.js';
import { toolbox } from './input.js';
import { maskEdits } from './masks.js';
import { showHint } from './messages.js';
import { objectPanel } from './objects.js';
import { playback } from './playback.js';
import { moveCursor, pressCursor } from './pointers.js';
import { review } from './review.js';
import { selection } from './selection.js';
import { loadSettings, saveSettings } from './settings.js';
import { state, subscribe } from './store.js';
import { hasDrawn, timeline } from './timeline.js';
import { setTool, TOOLS } from './tools.js';
import { tracking } from './tracking.js';
import { viewer } from './viewer.js';

/** Keys and what they do; `waitsForFrame`: until the requested frame shows; `repeats`: while it is held;
 * `buttons`: that do the same, one for each key or one for all.
 * @typedef {{keys: string[], text: string, run: (key: string) => unknown, waitsForFrame: boolean, repeats: boolean,
 *   buttons: (keyof import('./protocol.js').Elements)[]}} Binding */

/** @type {Record<string, string>} */
const KEY_NAMES = { ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', ' ': 'Space', '=': '+' };

/** Keys that also act by their position, whatever the layout. @type {Record<string, string>} */
const KEYS_BY_POSITION = { BracketLeft: '[', BracketRight: ']' };

/** Signs of keys whose layout has no Latin letters. @type {Record<string, string>} */
const SIGNS_BY_POSITION = { Period: '.', Comma: ',', Slash: '?', Equal: '+', Minus: '-' };

/** Keys of the timeline's slider, and the keys that do the same elsewhere. @type {Record<string, string>} */
const SLIDER_KEYS = { '↑': '→', '↓': '←', PageUp: 'Shift+→', PageDown: 'Shift+←' };

/** Return the name of a key press, as in the table of keys. @param {KeyboardEvent} event @param {string} key */
function getKeyName({ altKey, ctrlKey, metaKey, shiftKey }, key) {
  const hasCase = key.length > 1 || key.toLowerCase() !== key.toUpperCase() || '←→↑↓'.includes(key);
  return (ctrlKey || metaKey ? 'Ctrl+' : '') + (altKey ? 'Alt+' : '') + (shiftKey && hasCase ? 'Shift+' : '') + key;
}

let hasLatinLetters = true; // whether the last typed letter was one

/** Return the binding of a key press, and its key, in the layout of the user. @param {KeyboardEvent} event */
function findBinding(event) {
  const { key: typed, code } = event;
  if (/^\p{Letter}$/u.test(typed)) hasLatinLetters = /\p{Script=Latin}/u.test(typed);
  const name = getKeyName(event, KEY_NAMES[typed] || (typed.length === 1 ? typed.toUpperCase() : typed));
  const keys = [(/** @type {Element} */ (event.target).role === 'slider' && SLIDER_KEYS[name]) || name];
  // a letter that is not Latin, signs beside such letters, and what Alt makes of a key count by their position
  const isByPosition = code in KEYS_BY_POSITION || event.altKey || !hasLatinLetters || /[^ -~]/.test(typed);
  if (isByPosition) {
    const sign = KEYS_BY_POSITION[code] ?? SIGNS_BY_POSITION[code];
    keys.push(getKeyName(event, sign ?? code.replace(/^(Key|Digit)/, '')));
  }
  const bindings = Object.values(groups).flat();
  const key = keys.find((candidate) => bindings.some((binding) => binding.keys.includes(candidate))) ?? '';
  return { key, binding: bindings.find((binding) => binding.keys.includes(key)) };
}

/** Leave a field by Enter or Escape, which restores its text. @param {KeyboardEvent} event */
function leaveField({ key, target }) {
  const field = /** @type {HTMLInputElement} */ (target);
  if (key === 'Escape' && field.matches('[type=number], [type=text]')) field.value = field.defaultValue;
  if (key === 'Escape') field.blur();
  if (key === 'Enter' && field.matches('input')) focusView();
}

/** Fill the dialog of keys. */
function showKeys() {
  element('keys').replaceChildren(...Object.entries(groups).filter(([, table]) => table.length).map(([task, table]) => {
    const lines = table.map(({ keys, text }) => createElement('li', {},
      createElement('span', {}, ...keys.map((key) => createElement('kbd', {}, key))), createElement('span', {}, text)));
    return createElement('section', {}, createElement('h3', {}, task), createElement('ul', {}, ...lines));
  }));
}

/** Movement of the frame in CSS pixels. @type {Record<string, [number, number]>} */
const PAN_KEYS = { 'Ctrl+←': [80, 0], 'Ctrl+→': [-80, 0], 'Ctrl+↑': [0, 80], 'Ctrl+↓': [0, -80] };

/** Return a binding of keys separated by spaces; `bindChange`: one that changes masks; `bindHeld`: one that repeats.
 * @type {(keys: string, text: string, run: Binding['run'], buttons?: string) => Binding} */
const bind = (keys, text, run, buttons) => ({
  keys: keys.split(' '), text, run, waitsForFrame: false, repeats: false,
  buttons: /** @type {Binding['buttons']} */ (buttons?.split(' ') ?? []),
});
/** @type {typeof bind} */
const bindChange = (...values) => ({ ...bind(...values), waitsForFrame: true });
/** @type {typeof bind} */
const bindHeld = (...values) => ({ ...bind(...values), repeats: true });

async function step(/** @type {number} */ by) {
  await playback.seek(state.wanted.frame + by);
  showHint(timeline.frameDescription);
}

/** Go to the nearest frame with drawn masks before or after this one. @param {1 | -1} by */
function seekDrawn(by) {
  const { count, wanted } = state;
  let frame = wanted.frame + by;
  while (frame >= 0 && frame < count && !hasDrawn(frame)) frame += by;
  if (frame >= 0 && frame < count) step(frame - wanted.frame);
  else showHint(`No frame with drawn masks ${by < 0 ? 'before' : 'after'} this one.`);
}

function escape() {
  playback.dropCommands();
  if (toolbox.cancel()) return;
  if (element('panels').checkVisibility() && element('panels').ariaExpanded === 'true') objectPanel.togglePanels();
  else tracking.stop();
}

/** Keys by task. */
const groups = /** @type {Record<string, Binding[]>} */ ({
  Draw: [
    ...TOOLS.map(({ name, key }) => bind(key, name, () => setTool(name))),
    bindHeld('[ ]', 'smaller, larger brush', (key) => (
      toolbox.resizeBrush(key === '[' ? 1 / 1.2 : 1.2, 0.5)), 'smaller larger'),
    bindChange('Backspace', 'remove the last corner', () => toolbox.stepBack()),
    bindChange('Ctrl+Enter', 'close the polygon', () => toolbox.isClosable && toolbox.finish()),
    bind('Escape', 'cancel unfinished input, or a box or click on its way; stop tracking', escape),
    bind('Ctrl+Z', 'undo', () => toolbox.stepBack() || editHistory.undo(), 'undo'),
    bind('Ctrl+Shift+Z Ctrl+Y', 'redo', () => editHistory.undoOrRedo('redo'), 'redo'),
  ],
  'Draw without a mouse': [
    bindHeld('W A S D', 'move the cursor', (key) => moveCursor(key)),
    bindHeld('Shift+W Shift+A Shift+S Shift+D', 'move the cursor by one pixel', (key) => moveCursor(key)),
    bindChange('Enter', 'use the tool at the cursor, or close the polygon', () => pressCursor(false)),
    bindChange('Shift+Enter', 'use the tool at the cursor to remove', () => pressCursor(true)),
  ],
  Objects: [
    bindChange('N', 'new object', () => objectPanel.addObject(), 'add'),
    bindHeld('↑ ↓', 'previous, next object', (key) => objectPanel.selectNext(key === '↑' ? -1 : 1)),
    bind('1 2 3 4 5 6 7 8 9', 'select an object', (key) => objectPanel.selectIndex(Number(key) - 1)),
    bindChange('Delete Ctrl+Backspace', 'delete the object', () => objectPanel.deleteObject(), 'delete'),
    // the keys behind F2 were typed for the name
    bind('F2', 'rename the object', () => { objectPanel.focusName(selection.id); playback.dropCommands(); }),
    bind('I', 'hide or show the object', () => objectPanel.toggleHidden()),
    bind('Shift+I', 'show only the object, or all', () => objectPanel.toggleOthers()),
    bind('J', 'lock or unlock the object', () => objectPanel.toggleLock()),
  ],
  'Masks of this frame': [
    bindChange('F', 'fill holes', () => maskEdits.reshape('fill holes')),
    bindChange('Ctrl+C', 'copy the masks', () => maskEdits.copy()),
    bindChange('Ctrl+V', 'paste the selected object', () => maskEdits.paste(false)),
    bindChange('Ctrl+Shift+V', 'paste all objects', () => maskEdits.paste(true)),
    bindChange('Shift+N', 'copy the selected object to the next frame', () => maskEdits.copyToNext(), 'copy-next'),
    bindChange('M', 'mark the object as absent on this frame', () => toolbox.editMask('mark_absent'), 'absent'),
    bindChange('R', 'remove the drawn mask of the object', () => maskEdits.goBackToTracked(), 'back-to-tracked'),
  ],
  'Frames and view': [
    bindHeld('← →', 'previous, next frame', (key) => step(key === '←' ? -1 : 1), 'previous next-frame'),
    bindHeld('Shift+← Shift+→', 'ten frames back or forward', (key) => step(key === 'Shift+←' ? -10 : 10)),
    bindHeld('Alt+← Alt+→', 'previous, next frame with drawn masks', (key) => seekDrawn(key === 'Alt+←' ? -1 : 1)),
    bind('Home End', 'first, last frame', (key) => playback.seek(key === 'Home' ? 0 : state.count - 1)),
    bind('Space', 'play or stop', () => playback.togglePlay(), 'play'),
    bindHeld('+ - PageUp PageDown', 'zoom at the pointer',
      (key) => viewer.zoomBy('+PageUp'.includes(key) ? 1.25 : 0.8, viewer.pointer || undefined)),
    bindHeld(Object.keys(PAN_KEYS).join(' '), 'pan', (key) => viewer.pan(...PAN_KEYS[key])),
    bind('0', 'show the whole frame', () => { focusView(); viewer.fit(); }, 'fit'), // its button disappears
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
    bind('. ,', 'next, worst problem', (key) => review.showNext(key === ','), 'next-check'),
    bindChange('Q', 'mark this frame as checked, or remove the mark', () => review.toggleChecked(), 'checked'),
    bind('Shift+L', 'list of clips', () => { if (!element('clips').hidden) element('clips').click(); }),
    bind('Shift+Q', 'mark the clip as done, or as not done', () => review.toggleDone(), 'done'),
    bind('Shift+K', 'next clip that is not done', () => review.openNextClip()),
    bind('Shift+E', 'export', () => exporter.open(), 'export'),
    bind('?', 'keyboard shortcuts', () => element('help-dialog').showModal(), 'help'),
  ],
  Classes: [], // of the schema
});

for (const { keys, run, waitsForFrame, buttons } of Object.values(groups).flat()) {
  for (const [index, button] of elements(...buttons).entries()) {
    button.onclick = () => playback.addCommand(() => run(keys[index]), waitsForFrame);
    showKey(button, keys[index]);
  }
}
document.addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]') || event.isComposing) return;
  if (/** @type {Element} */ (event.target).matches(FIELDS)) leaveField(event);
  if (!isShortcut(event)) return;
  const { key, binding } = findBinding(event);
  if (!binding || (key === 'Ctrl+C' && getSelection()?.toString())) return; // a selected text is copied
  event.preventDefault();
  if (event.repeat && !binding.repeats) return;
  if (key === 'Escape') binding.run(key); // drops the queued commands
  else playback.addCommand(() => binding.run(key), binding.waitsForFrame);
});
subscribe(['project'], () => {
  const rules = state.project.schema.filter(({ key }) => key);
  if (rules.length === groups.Classes.length) return;
  groups.Classes = rules.map(({ key, name }) => (
    bind(`Alt+${key.toUpperCase()}`, name, () => objectPanel.setClass(name))));
  showKeys();
});
element('single-keys').checked = loadSettings().singleKeys !== false;
element('single-keys').onchange = () => saveSettings({ singleKeys: element('single-keys').checked });
showKeys();
