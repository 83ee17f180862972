// @ts-check
/** Keyboard shortcuts: names of key presses, changed keys, dispatch. */

import { remember, stored } from './preferences.js';

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
   * @param {import('./inputs.js').Inputs} inputs
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
