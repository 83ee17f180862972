// @ts-check
/** Short messages on the frame, with buttons. */

import { element, make } from './page.js';

const SECONDS = 12;
const MOST = 3;

/**
 * @param {string} text
 * @param {Record<string, () => void>} [buttons] by label
 */
export function toast(text, buttons = {}) {
  const box = make('div', { className: 'toast' });
  const close = () => box.remove();
  box.append(make('span', { textContent: text }));
  for (const [label, run] of Object.entries(buttons)) {
    box.append(make('button', { textContent: label, onclick: () => { close(); run(); } }));
  }
  const end = make('button', { className: 'small', textContent: '×', onclick: close });
  end.setAttribute('aria-label', 'Close this message');
  box.append(end);
  element('toasts').append(box);
  while (element('toasts').children.length > MOST) element('toasts').firstElementChild.remove();
  setTimeout(close, SECONDS * 1000);
}
