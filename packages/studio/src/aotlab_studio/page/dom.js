/** Elements of the page and their icons, focus, drawing once per screen refresh. */

/** @import { Elements } from './protocol.js' */

export const FIELDS = 'input:not([type=checkbox], [type=color]), select, textarea'; // they get the keys

/** Return an element of the page. @template {keyof Elements} K @param {K} id @returns {Elements[K]} */
export const element = (id) => /** @type {any} */ (document.getElementById(id));

/** Return elements of the page. @template {keyof Elements} K @param {K[]} ids @returns {Elements[K][]} */
export const elements = (...ids) => ids.map((id) => element(id));

/** Show the switches of the chosen outputs only, now and after each change of a form. @param {HTMLElement} form */
export function followOutputs(form) {
  const show = () => {
    for (const box of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll('[data-option]'))) {
      const outputs = box.dataset.outputs?.split(' ') ?? [];
      const label = /** @type {HTMLElement} */ (box.parentElement);
      label.hidden = !outputs.some((name) => form.querySelector(`[name='${name}']:checked`));
    }
  };
  form.addEventListener('change', show);
  show();
}

/** Return the names of the switches of the chosen outputs that are on. */
export const findOptions = () => [...document.querySelectorAll('label:not([hidden]) > [data-option]:checked')]
  .map((box) => box.getAttribute('data-option') ?? '');

/** @template {keyof HTMLElementTagNameMap} K @param {K} kind @param {object} values @param {(Node | string)[]} nodes */
export function createElement(kind, values, ...nodes) {
  const node = Object.assign(document.createElement(kind), values);
  node.append(...nodes);
  return node;
}

/** Focus the frame, so that keys act on it; the list of clips has none. */
export const focusView = () => element('view')?.focus({ preventScroll: true });

/** Change elements; if this removes, hides or disables the focused one, focus the frame. @param {() => void} change */
export function focusViewIfLost(change) {
  const { body, activeElement: previous } = document;
  change();
  const { activeElement } = document;
  const isLost = activeElement === body ? previous !== body : activeElement?.matches(':disabled');
  if (isLost || !activeElement?.checkVisibility()) focusView();
}

/** Focus the frame after a button or slider was pressed, or a box or list changed, with the pointer. */
export function installFocusReturn() {
  const returnToView = (/** @type {Event} */ { target, type }) => {
    const controls = type === 'click' ? 'button, a, [type=range]' : '[type=checkbox], [type=color], select';
    const control = /** @type {Element} */ (target).closest(controls);
    if (control && !control.matches(':focus-visible, dialog *')) focusView();
  };
  document.addEventListener('click', returnToView, true);
  document.addEventListener('change', returnToView);
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

/** Return the main pointer of this screen. */
export const getPointer = () => (matchMedia('(pointer: coarse)').matches ? 'finger' : 'mouse');

/** Change the icon of an element. @param {Element} target @param {string} name */
export const setIcon = (target, name) => target.querySelector('use')?.setAttribute('href', `#icon-${name}`);

/** Change the text after a button's icon. @param {Element} target @param {string} text */
export const setLabel = (target, text) => target.lastElementChild?.replaceChildren(text);

/** Return a function that requests a drawing at the next screen refresh; so does a change of the pixel density. */
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
  isRequested = false;
  currentRun = /** @type {Promise<void> | null} */ (null); // of all requested runs; null: idle

  constructor(/** @type {() => Promise<unknown>} */ task) {
    this.task = task; // shows its errors
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

/** Scroll only a list to show a part of it. @param {HTMLElement} list @param {number} top @param {number} height */
export function scrollTo(list, top, height) {
  list.scrollTop = Math.min(top, Math.max(list.scrollTop, top + height - list.clientHeight));
}

/** Join texts of a message, except empty ones. @param {(string | undefined)[]} texts */
export const joinSentences = (...texts) => texts.filter(Boolean).join('. ');

/** Return the factor by which the wheel zooms in; its distance is in pixels or lines. @param {WheelEvent} event */
export const getWheelFactor = (event) => Math.exp(-event.deltaY * (event.deltaMode ? 0.06 : 0.002));

export const formatCount = (/** @type {number} */ count, /** @type {string} */ noun) => (
  `${count} ${noun}${count === 1 ? '' : 's'}`);

/** Name sorted frames by their runs, such as “frames 3–5, 9”; of many runs, the first ones. @param {number[]} frames */
export function formatFrames(frames) {
  const starts = frames.filter((frame, index) => frame !== frames[index - 1] + 1);
  const runs = starts.map((start, index) => {
    const end = frames[index + 1 < starts.length ? frames.indexOf(starts[index + 1]) - 1 : frames.length - 1];
    return start === end ? String(start) : `${start}–${end}`;
  });
  return `frame${frames.length === 1 ? '' : 's'} ${runs.slice(0, 5).join(', ')}${runs.length > 5 ? ', …' : ''}`;
}

export function formatDuration(/** @type {number} */ seconds) {
  const total = Math.ceil(seconds);
  return total < 60 ? `${total} s` : `${Math.floor(total / 60)} min ${total % 60} s`;
}
