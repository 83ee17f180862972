// @ts-check
/** Elements of the page, messages on the frame, drawing once per screen refresh. */

/**
 * @param {string} id
 * @returns {any}
 */
export const element = (id) => document.getElementById(id);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind
 * @param {object} values
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(kind, values) {
  return Object.assign(document.createElement(kind), values);
}

/**
 * Return a function that draws once at the next screen refresh, however often it is called until then.
 * @param {() => void} draw
 */
export function onNextPaint(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

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
