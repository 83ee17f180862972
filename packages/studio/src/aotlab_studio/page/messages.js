/** Messages in the header and on the frame, dialogs that ask. */

import { createElement, createIcon, element, focusViewIfLost } from './dom.js';

/** Show a message in the header, with further lines or buttons; an error can be closed.
 * @param {string} text @param {boolean} [isError] @param {HTMLElement[]} more */
export function showMessage(text, isError = false, ...more) {
  const buttons = isError ? [createCloseButton(() => showMessage(''))] : [];
  // before the text, which screen readers announce by the role
  Object.assign(element('status'), isError ? { className: 'error', role: 'alert' } : { className: '', role: 'status' });
  focusViewIfLost(() => element('status').replaceChildren(text, ...more, ...buttons));
}

/** Show advice, unless an error is shown. @param {string} text */
export function showHint(text) {
  if (!element('status').className) showMessage(text);
}

const LOADING = 'Loading the model…';

/** Show that the model of the prompts is being loaded, or no longer. @param {boolean} isLoading */
export function showLoading(isLoading) {
  if (isLoading) showMessage(LOADING);
  else if (element('status').textContent === LOADING) showMessage('');
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

const createCloseButton = (/** @type {() => void} */ onclick) => (
  createElement('button', { className: 'small', ariaLabel: 'Close this message', onclick }, createIcon('x')));

const removeToast = (/** @type {Element} */ toast) => focusViewIfLost(() => toast.remove());

/** Close the messages on the frame about other steps than the last one; step 0 is none. @param {number} step */
export function closeOldToasts(step) {
  document.querySelectorAll(`.toast:not([data-step="0"], [data-step="${step}"])`).forEach(removeToast);
}

/** Show a message on the frame, instead of the last one, until it is closed or its step is no longer the last one.
 * @type {(text: string, buttons: Record<string, () => void>, step?: number) => void} */
export function showToast(text, buttons, step = 0) {
  const close = () => removeToast(toast);
  const actions = Object.entries(buttons).map(([label, run]) => (
    createElement('button', { onclick: () => { close(); run(); } }, label)));
  const toast = createElement('div', { className: 'toast' },
    createElement('span', {}, text), ...actions, createCloseButton(close));
  toast.dataset.step = String(step);
  focusViewIfLost(() => element('toasts').replaceChildren(toast));
}

/** Ask in a dialog; return the value of the pressed button: '' of Cancel, undefined after Escape.
 * Enter presses the first button.
 * @type {<T extends string>(title: string, content: Node, ...values: T[]) => Promise<T | '' | undefined>} */
export async function ask(title, content, ...values) {
  const buttons = values.map((value, index) => (
    createElement('button', { value, className: index ? '' : 'main' }, value[0].toUpperCase() + value.slice(1))));
  const form = createElement('form', { method: 'dialog' }, createElement('h2', {}, title), content,
    createElement('div', { className: 'row' }, ...buttons, createElement('button', { value: '' }, 'Cancel')));
  form.onkeydown = (event) => {
    if (event.key !== 'Enter') return;
    const isList = /** @type {Element} */ (event.target).matches('select'); // in which browsers ignore the key
    if (event.repeat || isList) event.preventDefault();
    if (isList && !event.repeat) form.requestSubmit(buttons[0]);
  };
  const dialog = createElement('dialog', { ariaLabel: title }, form);
  document.body.append(dialog);
  dialog.showModal();
  const { submitter } = /** @type {any} */ (await new Promise((resolve) => {
    dialog.onclose = resolve;
    form.onsubmit = (event) => { event.preventDefault(); resolve(event); }; // at once: the page may close next
  }));
  dialog.close(); // restores the focus
  dialog.remove();
  return submitter?.value;
}

/** Error of a request that the user canceled, which is not shown. */
export const CANCELED = new Error('Canceled.');

/** @import { ShownError } from './connection.js' */
/** Send a request; if it is refused as unfinished, ask whether to force it; show any other error.
 * @type {<T>(send: (values: {force?: boolean}) => Promise<T>, values?: {force?: boolean})
 *   => Promise<T & {error?: undefined} | ShownError>} */
export async function sendOrForce(send, values = {}) {
  try {
    return /** @type {any} */ (await send(values));
  } catch (/** @type {any} */ error) {
    if (!error.unfinished) return showError(error);
    const isForced = await ask('Continue?', createElement('p', {}, error.message), 'continue');
    return isForced ? sendOrForce(send, { force: true }) : { error: CANCELED };
  }
}
