/** Settings kept by the browser: tool, look, frame and object of each project. */

import { element } from './dom.js';

const STORAGE_KEY = 'aotlab';
/** Largest number of projects whose frame and object are kept. */
const MAX_PLACES = 100;

/** @returns {Record<string, any>} */
export function loadSettings() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY) || '{}') || {};
  } catch {
    return {};
  }
}

/** @param {Record<string, any>} changes */
export function saveSettings(changes) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify({ ...loadSettings(), ...changes }));
  } catch {
    // storage is full or forbidden; settings are not kept
  }
}

/** Restore the settings of the last visit, and store them on leaving. @param {import('./main.js').App} app */
export function restoreSettings(app) {
  const { tool, radius, look } = loadSettings();
  if (typeof tool === 'string') app.toolbox.setTool(tool);
  if (Number.isFinite(radius)) app.toolbox.setRadius(radius);
  if (look && typeof look === 'object') app.viewer.setStyle(look);
  for (const name of /** @type {const} */ (['fill', 'outline'])) element(name).checked = app.viewer.look[name];
  element('opacity').value = String(app.viewer.look.opacity);
  addEventListener('pagehide', () => {
    const { toolbox, viewer, playback } = app;
    if (!app.name) return; // not described yet
    const otherPlaces = Object.entries(loadSettings().places || {}).filter(([project]) => project !== app.project);
    const place = { frame: playback.frame, object_id: app.selection.id };
    const places = Object.fromEntries([...otherPlaces.slice(1 - MAX_PLACES), [app.project, place]]);
    saveSettings({ tool: toolbox.tool.name, radius: toolbox.radius, look: viewer.look, places });
  });
}
