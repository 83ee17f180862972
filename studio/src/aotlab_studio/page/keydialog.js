// @ts-check
/** Dialog of keys by task, where they can be changed. */

import { element, make } from './page.js';
import { remember, stored } from './preferences.js';
import { isKey, nameOf } from './shortcuts.js';

export class KeyDialog {
  /** @param {import('./shortcuts.js').Shortcuts} shortcuts */
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

  /** @param {import('./shortcuts.js').Binding} binding */
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
