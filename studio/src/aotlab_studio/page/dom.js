/** Elements of the page, lists and text fields, messages on the frame, drawing once per screen refresh. */

/** @import { Elements } from './protocol.js' */

/** Return an element of the page. @template {keyof Elements} K @param {K} id @returns {Elements[K]} */
export const element = (id) => /** @type {any} */ (document.getElementById(id));

/** Return elements of the page. @template {keyof Elements} K @param {K[]} ids @returns {Elements[K][]} */
export const elements = (...ids) => ids.map((id) => element(id));

/** Return the number in a field; undefined: empty. @param {'first' | 'last' | 'export-first' | 'export-last'} id */
export const readNumber = (id) => (element(id).value === '' ? undefined : Number(element(id).value));

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind
 * @param {object} values
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function createElement(kind, values, ...children) {
  const node = Object.assign(document.createElement(kind), values);
  node.append(...children);
  return node;
}

/** List that reuses the elements of its rows, so that focus and presses survive an update. @template T */
export class RowList {
  /**
   * @param {HTMLElement} list
   * @param {(item: T) => number | string} getKey
   * @param {(item: T) => {line: HTMLElement, show: (item: T) => void}} createRow
   */
  constructor(list, getKey, createRow) {
    this.list = list;
    this.getKey = getKey;
    this.createRow = createRow;
    this.rows = /** @type {Map<number | string, ReturnType<typeof createRow>>} */ (new Map());
  }

  show(/** @type {T[]} */ items) {
    const { list, rows } = this;
    this.rows = new Map(items.map((item) => [this.getKey(item), rows.get(this.getKey(item)) ?? this.createRow(item)]));
    const newRows = [...this.rows.values()];
    for (const row of rows.values()) if (!newRows.includes(row)) row.line.remove();
    for (const [index, { line, show }] of newRows.entries()) {
      show(items[index]);
      if (line.contains(document.activeElement)) { // moving it would end its focus
        while (list.children[index] !== line) list.append(list.children[index]);
      } else if (list.children[index] !== line) list.insertBefore(line, list.children[index] ?? null);
    }
  }
}

/** Text field that keeps unsaved and refused text with its frame or object. */
export class TextField {
  /** @param {HTMLInputElement} input @param {(subject: number, text: string) => Promise<{error?: Error}>} store */
  constructor(input, store) {
    this.input = input;
    this.store = store;
    this.shownValue = { subject: 0, text: '' }; // frame or object whose text the field shows, and its stored text
    this.storedValue = this.shownValue; // latest stored text, which the field shows unless the user is typing
    this.drafts = /** @type {Map<number, {text: string, error: string}>} */ (new Map()); // unstored, by frame or object
    this.problem = createElement('p', { className: 'problem', role: 'alert' });
    (input.closest('label') ?? input).after(this.problem);
    input.onblur = () => this.commit();
    input.onkeydown = (event) => { if (event.key === 'Escape') input.value = this.savedText; };
  }

  /** Text that was sent last and not refused, or is stored. */
  get savedText() {
    const { subject, text } = this.shownValue;
    const draft = this.drafts.get(subject);
    return draft && !draft.error ? draft.text : text;
  }

  /** Show stored text of a frame or object unless the user is typing. @param {number} subject @param {string} text */
  show(subject, text) {
    this.storedValue = { subject, text };
    if (document.activeElement === this.input) return;
    this.shownValue = this.storedValue;
    if (this.drafts.get(subject)?.text === text) this.drafts.delete(subject);
    const draft = this.drafts.get(subject);
    this.input.value = draft?.text ?? text;
    this.problem.textContent = draft?.error ?? '';
  }

  async commit() {
    const { shownValue: { subject }, drafts } = this;
    const draft = { text: this.input.value.trim(), error: '' };
    if (draft.text !== this.savedText) {
      drafts.set(subject, draft);
      const { error } = await this.store(subject, draft.text);
      if (error) draft.error = error.message;
      else {
        if (drafts.get(subject) === draft) drafts.delete(subject);
        if (this.shownValue.subject === subject) this.shownValue = { subject, text: draft.text };
      }
    } else if (drafts.get(subject)?.error) drafts.delete(subject);
    this.show(this.storedValue.subject, this.storedValue.text);
  }
}

/** Return the focus to the frame, so that keys act on it. */
export const focusView = () => element('view').focus({ preventScroll: true });

/** Return the focus to the frame after a button or slider was pressed, or a box or list changed, with the pointer. */
export function returnFocus() {
  const returnToView = (/** @type {Event} */ { target, type }) => {
    const controls = type === 'click' ? 'button, a, [type=range]' : '[type=checkbox], [type=color], select';
    const control = /** @type {Element} */ (target).closest(controls);
    if (control && !control.matches(':focus-visible, dialog *')) focusView();
  };
  document.addEventListener('click', returnToView, true);
  document.addEventListener('change', returnToView);
}

/** Handle a form's main button and Enter, if all is valid. @param {HTMLButtonElement} button @param {() => void} run */
export function onSubmit(button, run) {
  button.onclick = (event) => {
    event.preventDefault();
    if (button.form?.reportValidity()) run();
  };
}

/** Return an icon of `icons.svg`, which the server inserts into the page. @param {string} name */
export function createIcon(name) {
  const [image, use] = ['svg', 'use'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag));
  use.setAttribute('href', `#icon-${name}`);
  image.setAttribute('aria-hidden', 'true');
  image.append(use);
  return image;
}

/** Give all elements with `data-icon` their icon. */
export function addIcons() {
  for (const target of document.querySelectorAll('[data-icon]')) {
    target.prepend(createIcon(target.getAttribute('data-icon') || ''));
  }
}

/** Name a key in the title of a button. @param {HTMLElement} button @param {string} key */
export function showKey(button, key) {
  const names = key.replace('Ctrl', 'Control').replace('←', 'ArrowLeft').replace('→', 'ArrowRight');
  button.setAttribute('aria-keyshortcuts', names);
  button.title = `${button.title || button.getAttribute('aria-label') || button.textContent || ''} (${key})`;
}

/** Change the icon of an element. @param {Element} target @param {string} name */
export function setIcon(target, name) {
  target.querySelector('use')?.setAttribute('href', `#icon-${name}`);
}

/** Change the text after a button's icon. @param {Element} target @param {string} text */
export function setLabel(target, text) {
  if (target.lastElementChild) target.lastElementChild.textContent = text;
}

/** Return a function that draws once per refresh for all its calls, and call it when the pixel density changes. */
export function drawOncePerRefresh(/** @type {() => void} */ draw) {
  let request = 0;
  const drawNow = () => { request = 0; draw(); };
  const schedule = () => { request ||= requestAnimationFrame(drawNow); };
  const watchDensity = () => {
    const change = () => { schedule(); watchDensity(); };
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener('change', change, { once: true });
  };
  watchDensity();
  return schedule;
}

/** Runs one at a time; calls during a run trigger one rerun. */
export class CoalescedTask {
  /** @param {() => Promise<unknown>} task which shows its errors */
  constructor(task) {
    this.task = task;
    this.isRequested = false;
    this.currentRun = /** @type {Promise<void> | null} */ (null); // resolves after the last requested run; null: idle
  }

  run() {
    this.isRequested = true;
    this.currentRun ??= this.runRequested();
    return this.currentRun;
  }

  async runRequested() {
    try {
      while (this.isRequested) {
        this.isRequested = false;
        await this.task();
      }
    } finally {
      this.currentRun = null;
    }
  }
}

/** Scroll only a list to show a part of it. @param {HTMLElement} list @param {number} top @param {number} bottom */
export function scrollTo(list, top, bottom) {
  list.scrollTop = Math.min(top, Math.max(list.scrollTop, bottom - list.clientHeight));
}

/** Return the factor by which the wheel zooms in; its distance is in pixels or lines. @param {WheelEvent} event */
export const getWheelFactor = (event) => Math.exp(-event.deltaY * (event.deltaMode ? 0.06 : 0.002));

/** @param {number} count @param {string} noun */
export const formatCount = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Show a message in the header; an error can be closed. @param {string} text @param {boolean} [isError] */
export function showMessage(text, isError = false) {
  element('status').replaceChildren(text, ...(isError ? [createCloseButton(() => showMessage(''))] : []));
  element('status').className = isError ? 'error' : '';
}

/** Show advice, unless an error is shown. @param {string} text */
export function showHint(text) {
  if (!element('status').className) showMessage(text);
}

/** Return the answer to an action; without an error, it clears the shown one. @template T @param {Promise<T>} action */
export async function clearErrorAfter(action) {
  const shown = element('status').firstChild;
  const answer = await action;
  const { className, firstChild } = element('status');
  if (className && firstChild === shown && !/** @type {any} */ (answer)?.error) showMessage('');
  return answer;
}

/** Show an error, and return it as an answer. @param {any} error @returns {import('./connection.js').ShownError} */
export function showError(error) {
  showMessage(error.message, true);
  return { error };
}

const NAME_COOKIE = 'aotlab_person';

/** Show the user's name in its field, and store it when it changes. @param {() => void} onChange */
export function connectUser(onChange) {
  const field = element('person');
  const stored = document.cookie.split('; ').find((cookie) => cookie.startsWith(`${NAME_COOKIE}=`));
  field.value = new URLSearchParams(stored).get(NAME_COOKIE) || ''; // decodes any text
  field.onchange = () => {
    const name = encodeURIComponent(field.value.trim());
    document.cookie = `${NAME_COOKIE}=${name}; path=/; max-age=31536000; SameSite=Strict`;
    field.blur(); // the next key is a shortcut again
    onChange();
  };
}

const createCloseButton = (/** @type {() => void} */ onclick) => (
  createElement('button', { className: 'small', ariaLabel: 'Close this message', onclick }, createIcon('x')));

const TOAST_SECONDS = 12;
const MAX_TOASTS = 3;

/**
 * Show a message on the frame. With buttons, it stays until it is closed or its step is no longer the last one.
 * @param {string} text
 * @param {Record<string, () => void>} [buttons] by label
 * @param {number} [step] of the history, which the buttons undo
 */
export function showToast(text, buttons = {}, step) {
  const close = () => box.remove();
  const actions = Object.entries(buttons).map(([label, run]) => (
    createElement('button', { onclick: () => { close(); run(); } }, label)));
  const box = createElement('div', { className: 'toast' },
    createElement('span', {}, text), ...actions, createCloseButton(close));
  if (step) box.dataset.step = String(step);
  element('toasts').append(box);
  const boxes = [...element('toasts').children];
  // what a button does may not be possible in another way
  if (boxes.length > MAX_TOASTS) (boxes.find((each) => !each.querySelector('button:not(.small)')) ?? boxes[0]).remove();
  const expire = () => {
    if (box.matches(':hover, :focus-within')) setTimeout(expire, TOAST_SECONDS * 100);
    else close();
  };
  if (!actions.length) setTimeout(expire, TOAST_SECONDS * 1000);
}

/**
 * Ask in a dialog; return the value of the pressed button, empty if canceled.
 * @template {string} T
 * @param {string} title
 * @param {Node} content
 * @param {T[]} values labels of the buttons besides Cancel, the main one first, which Enter presses
 * @returns {Promise<T | ''>}
 */
export async function ask(title, content, ...values) {
  const buttons = values.map((value, index) => (
    createElement('button', { value, className: index ? '' : 'main' }, value[0].toUpperCase() + value.slice(1))));
  const form = createElement('form', { method: 'dialog' }, createElement('h2', {}, title), content,
    createElement('div', { className: 'row' }, ...buttons, createElement('button', { value: '' }, 'Cancel')));
  form.onkeydown = (event) => { if (event.repeat && event.key === 'Enter') event.preventDefault(); };
  const dialog = createElement('dialog', { ariaLabel: title }, form);
  document.body.append(dialog);
  dialog.showModal();
  const { submitter } = await new Promise((resolve) => {
    dialog.onclose = resolve;
    form.onsubmit = (event) => { event.preventDefault(); resolve(event); }; // at once: the page may close next
  });
  dialog.close(); // restores the focus
  dialog.remove();
  return submitter?.value ?? '';
}

/** Error of a request that the user canceled, which is not shown. */
export const CANCELED = new Error('Canceled.');

/** @typedef {import('./protocol.js').Failure['choices'][number]} OutdatedChoice */

/**
 * Send a request; if it is refused, ask for one of the choices that it offers and repeat it, or show the error.
 * @template T
 * @param {(choice?: {outdated: OutdatedChoice}) => Promise<T>} send
 * @param {{outdated: OutdatedChoice}} [choice]
 * @returns {Promise<T & {error?: undefined} | import('./connection.js').ShownError>}
 */
export async function sendOrAsk(send, choice) {
  try {
    return /** @type {any} */ (await send(choice));
  } catch (/** @type {any} */ error) {
    if (!error.choices?.length) return showError(error);
    const outdated = await ask('Outdated frames', createElement('p', {}, error.message), ...error.choices);
    return outdated ? sendOrAsk(send, { outdated }) : { error: CANCELED };
  }
}
