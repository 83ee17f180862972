/** Settings kept by the browser: tool, look, frame and object of each project. */

import { element, elements } from './dom.js';

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
  const { tool, radius, look = {} } = loadSettings();
  if (typeof tool === 'string') app.toolbox.setTool(tool);
  if (Number.isFinite(radius)) app.toolbox.setRadius(radius);
  for (const box of elements('fill', 'outline')) box.checked = look[box.id] ?? true;
  element('opacity').value = look.opacity ?? element('opacity').value;
  addEventListener('pagehide', () => {
    const { toolbox, playback } = app;
    if (!app.name) return; // not described yet
    const [fill, outline] = elements('fill', 'outline').map((box) => box.checked);
    const otherPlaces = Object.entries(loadSettings().places || {}).filter(([project]) => project !== app.project);
    const place = { frame: playback.frame, object_id: app.selection.id };
    const places = Object.fromEntries([...otherPlaces.slice(1 - MAX_PLACES), [app.project, place]]);
    const opacity = element('opacity').value;
    saveSettings({ tool: toolbox.tool.name, radius: toolbox.radius, look: { fill, outline, opacity }, places });
  });
}
