/** Buttons and fields of the page with their actions. */

import { connectUser, element, elements, focusView, showError } from './dom.js';
import { loadMasks, openMerge } from './objects.js';
import { watchPointers } from './pointers.js';
import { connectVersions } from './versions.js';

/** @param {import('./main.js').App} app */
export function connectControls(app) {
  returnFocus();
  const { viewer, timeline } = app;
  element('merge').onclick = () => app.playback.addInput(() => openMerge(app), true);
  connectVersions(app);
  element('panels').onclick = () => { // in a narrow window
    element('panels').setAttribute('aria-expanded', String(document.body.classList.toggle('panels-open')));
    app.scrollToSelected();
  };
  element('zoom-in').onclick = () => timeline.zoomBy(1 / 2);
  element('zoom-out').onclick = () => timeline.zoomBy(2);
  element('load').onchange = () => loadMasks(app).catch(showError);
  for (const box of elements('fill', 'outline')) box.onchange = () => viewer.setStyle({ [box.id]: box.checked });
  connectUser(() => app.connection.socket?.close()); // the next connection has the name
  element('opacity').oninput = () => viewer.setStyle({ opacity: Number(element('opacity').value) });
  watchPointers(viewer, app.toolbox);
}

/**
 * Return the focus to the frame after a button, box or list was used with the pointer, so that keys act on the frame.
 */
function returnFocus() {
  const back = (/** @type {Event} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const { activeElement } = document;
    const controls = 'button, input[type=checkbox], input[type=range], input[type=color], select, a';
    if (!target.closest(controls) || target.closest('dialog')) return;
    if (event instanceof MouseEvent ? event.detail === 0 : target.matches(':focus-visible')) return; // from the keyboard
    if (event.type === 'click' && target.closest('select, input[type=color]')) return;
    if (event.type === 'change' && activeElement?.matches('input') && activeElement !== target) return; // the next field
    focusView();
  };
  document.addEventListener('click', back, true);
  document.addEventListener('change', back);
}
