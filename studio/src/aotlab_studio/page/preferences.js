// @ts-check
/** Settings that a browser keeps: frame, tool, brush, look and keys. */

import { element } from './dom.js';

const KEY = 'aotlab';

/** @returns {Record<string, any>} */
export function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY) || '{}') || {};
  } catch {
    return {};
  }
}

/** @param {Record<string, any>} changes */
export function remember(changes) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...stored(), ...changes }));
  } catch {
    // storage is full or forbidden; settings are not kept
  }
}

/**
 * Restore the settings of the last visit, and store them when the page is left.
 * @param {import('./main.js').App} app
 */
export function restore(app) {
  const { tool, radius, look } = stored();
  if (typeof tool === 'string') app.toolbox.choose(tool);
  if (Number.isFinite(radius)) app.toolbox.setRadius(radius);
  if (look && typeof look === 'object') app.viewer.setLook(look);
  for (const name of ['fill', 'outline']) element(name).checked = app.viewer.look[/** @type {'fill' | 'outline'} */ (name)];
  element('opacity').value = String(app.viewer.look.opacity);
  addEventListener('pagehide', () => {
    const { toolbox, viewer, playback } = app;
    remember({ tool: toolbox.tool.name, radius: toolbox.radius, look: viewer.look, frame: { [app.name]: playback.frame } });
  });
}

/** Return the frame of a video that was shown last. @param {string} name */
export function lastFrame(name) {
  return Number(stored().frame?.[name]) || 0;
}
