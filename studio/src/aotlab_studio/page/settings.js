/** Settings kept by the browser: tool, look of the masks, frame and object of each project. */

import { element, elements } from './dom.js';

const STORAGE_KEY = 'aotlab';

/** @param {string} [project] its frame and object @returns {Record<string, any>} */
export function loadSettings(project = '') {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY + project) || '{}') || {};
  } catch {
    return {};
  }
}

/** @param {Record<string, any>} changes @param {string} [project] */
export function saveSettings(changes, project = '') {
  try {
    localStorage.setItem(STORAGE_KEY + project, JSON.stringify({ ...loadSettings(project), ...changes }));
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
    const { toolbox, playback, selection, project } = app;
    if (!project) return; // not described yet
    const [fill, outline] = elements('fill', 'outline').map((box) => box.checked);
    const opacity = element('opacity').value;
    saveSettings({ tool: toolbox.tool.name, radius: toolbox.radius, look: { fill, outline, opacity } });
    saveSettings({ frame: playback.frame, object_id: selection.id }, project);
  });
}
