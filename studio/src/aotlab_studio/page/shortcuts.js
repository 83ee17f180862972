// @ts-check
/** Keyboard shortcuts: names of key presses, queue of inputs, dispatch, and the dialog where keys can be changed. */

import { element, make } from './dom.js';
import { remember, stored } from './preferences.js';

export class Inputs {
  /** @param {() => boolean} ready whether the requested frame is shown */
  constructor(ready) {
    this.ready = ready;
    /** @type {{run: () => void, acts: boolean}[]} */
    this.queue = [];
  }

  /**
   * Run now, or after the queued inputs.
   * @param {() => void} run
   * @param {boolean} acts whether it changes the frame that is shown
   */
  add(run, acts) {
    this.queue.push({ run, acts });
    this.drain();
  }

  /** Run the queue up to the first input whose frame is not shown yet. */
  drain() {
    while (this.queue.length && (!this.queue[0].acts || this.ready())) this.queue.shift()?.run();
  }

  /** Clear the queue. */
  clear() {
    this.queue = [];
  }
}

/** @typedef {{keys: string[], text: string, run: (key: string) => void, acts?: boolean}} Binding */

const NAMES = /** @type {Record<string, string>} */ ({
  ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', ' ': 'Space', Backspace: 'Delete', '=': '+',
});

/** Keys identified by their position, whatever the layout. */
const PLACES = /** @type {Record<string, string>} */ ({ KeyW: 'W', KeyA: 'A', KeyS: 'S', KeyD: 'D', BracketLeft: '[', BracketRight: ']' });

/** Modifiers, and keys that move the focus. */
const NOT_ALONE = ['Shift', 'Control', 'Alt', 'AltGraph', 'Meta', 'Dead', 'Tab', 'CapsLock'];

/**
 * Return the name of a key press, as in the table of keys.
 * @param {KeyboardEvent} event
 */
export function nameOf(event) {
  const control = event.ctrlKey || event.metaKey ? 'Ctrl+' : '';
  let key = NAMES[event.key] || (event.key.length === 1 ? event.key.toUpperCase() : event.key);
  if (!control && PLACES[event.code]) key = PLACES[event.code];
  // the letter displaced by W, A, S or D takes the name of that key in turn
  else if (!control && 'WASD'.includes(key) && /^Key[A-Z]$/.test(event.code)) key = event.code[3];
  const shift = event.shiftKey && (key.length > 1 || /[A-Z←→↑↓]/.test(key)) ? 'Shift+' : '';
  return control + shift + key;
}

/** Return whether a key can be a shortcut. @param {KeyboardEvent} event */
export const isKey = (event) => !NOT_ALONE.includes(event.key);

export class Shortcuts {
  /**
   * @param {Record<string, Binding[]>} groups bindings by task
   * @param {Inputs} inputs
   */
  constructor(groups, inputs) {
    this.groups = groups;
    this.inputs = inputs;
    /** @type {Map<string, Binding>} */
    this.bindings = new Map();
    for (const binding of Object.values(groups).flat()) for (const key of binding.keys) this.bindings.set(key, binding);
    /** Changed keys, by the default key. @type {Record<string, string>} */
    this.chosen = {};
    for (const [key, own] of Object.entries(stored().keys || {})) if (this.bindings.has(key) && typeof own === 'string') this.chosen[key] = own;
    document.addEventListener('keydown', (event) => this.press(event));
  }

  /** Return the key to press for a default key. @param {string} key */
  current(key) {
    return this.chosen[key] ?? key;
  }

  /** Return the default key for a key press. @param {string} name */
  meant(name) {
    return [...this.bindings.keys()].find((key) => this.current(key) === name);
  }

  /**
   * Change a key. If the new key is taken, nothing changes and its binding is returned.
   * @param {string} key default key
   * @param {string} own
   */
  change(key, own) {
    const other = this.meant(own);
    if (other && other !== key) return this.bindings.get(other);
    this.chosen[key] = own;
    remember({ keys: this.chosen });
    return undefined;
  }

  reset() {
    this.chosen = {};
    remember({ keys: {} });
  }

  /** Run the binding of a key, unless a dialog is open or text is being typed. @param {KeyboardEvent} event */
  press(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector('dialog[open]') || event.isComposing || event.altKey) return;
    const name = nameOf(event);
    if (stored().singleKeys === false && /^(Shift\+)?[^a-z]$/.test(name) && !/[←→↑↓]/.test(name)) return;
    if (target.matches('input:not([type=checkbox]):not([type=color]), select, textarea')) {
      if (name === 'Escape') target.blur();
      return;
    }
    if (target.matches('button, input, a') && (name === 'Space' || name === 'Enter')) return;
    const key = this.meant(name);
    const binding = key && this.bindings.get(key);
    if (!key || !binding) return;
    event.preventDefault();
    this.inputs.add(() => binding.run(key), Boolean(binding.acts));
  }
}

export class KeyDialog {
  /** @param {Shortcuts} shortcuts */
  constructor(shortcuts) {
    this.shortcuts = shortcuts;
    /** Button that waits for a new key. @type {HTMLButtonElement | null} */
    this.waiting = null;
    element('single-keys').checked = stored().singleKeys !== false;
    element('single-keys').onchange = () => remember({ singleKeys: element('single-keys').checked });
    element('reset-keys').onclick = () => {
      shortcuts.reset();
      this.show();
      this.say('All keys are reset.');
    };
    const dialog = element('help-dialog');
    dialog.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.take(event));
    dialog.addEventListener('close', () => this.wait(null));
    this.show();
  }

  open() {
    this.say('Click a key to change it.');
    element('help-dialog').showModal();
  }

  show() {
    element('keys').replaceChildren(...Object.entries(this.shortcuts.groups).map(([task, table]) => {
      const group = make('section', {});
      const list = make('ul', {});
      list.append(...table.map((binding) => this.line(binding)));
      group.append(make('h3', { textContent: task }), list);
      return group;
    }));
    showKeys((key) => this.shortcuts.current(key));
  }

  /** @param {Binding} binding */
  line({ keys, text }) {
    const names = make('span', {});
    for (const key of keys) {
      const button = make('button', { type: 'button', textContent: this.shortcuts.current(key), onclick: () => this.wait(button) });
      button.dataset.default = key;
      names.append(button);
    }
    const line = make('li', {});
    line.append(names, make('span', { textContent: text }));
    return line;
  }

  /** Wait for a new key. @param {HTMLButtonElement | null} button */
  wait(button) {
    this.waiting?.removeAttribute('aria-pressed');
    this.waiting = button;
    button?.setAttribute('aria-pressed', 'true');
    if (button) this.say(`Press the new key for ${button.textContent}; Escape cancels.`);
  }

  /** @param {KeyboardEvent} event */
  take(event) {
    if (!this.waiting || !isKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const [key, name] = [this.waiting.dataset.default || '', nameOf(event)];
    this.wait(null);
    if (name === 'Escape') {
      this.say('');
      return;
    }
    const taken = this.shortcuts.change(key, name);
    this.say(taken ? `${name} is the key for “${taken.text}”; change that one first.` : `The key is now ${name}.`);
    this.show();
    /** @type {HTMLElement | null} */ (element('keys').querySelector(`[data-default="${CSS.escape(key)}"]`))?.focus();
  }

  /** @param {string} text */
  say(text) {
    element('keys-status').textContent = text;
  }
}

/**
 * Put the current keys into titles of buttons and into texts.
 * @param {(key: string) => string} current the key to press, by that of the table
 */
function showKeys(current) {
  for (const found of document.querySelectorAll('[data-key]')) {
    const control = /** @type {HTMLElement} */ (found);
    const key = current(control.dataset.key || '');
    if (control.tagName === 'KBD') {
      control.textContent = key;
      continue;
    }
    control.dataset.title ??= control.title || control.getAttribute('aria-label') || control.textContent || '';
    control.setAttribute('aria-keyshortcuts', key.replace('Ctrl', 'Control'));
    control.title = `${control.dataset.title} (${key})`;
  }
}
