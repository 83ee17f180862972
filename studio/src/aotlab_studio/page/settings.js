/** Settings kept by the browser: tool and display; frame, object and prompts of each project; hidden ids of a tab. */

import { element, elements } from './dom.js';

const STORAGE_KEY = 'aotlab';

/** @typedef {'localStorage' | 'sessionStorage'} Storage of all tabs, of one */
/** @param {string} [project] its settings @param {Storage} [storage] @returns {Record<string, any>} */
export function loadSettings(project = '', storage = 'localStorage') {
  try {
    return JSON.parse(globalThis[storage].getItem(STORAGE_KEY + project) || '{}') || {};
  } catch {
    return {};
  }
}

/** @param {Record<string, any>} changes @param {string} [project] @param {Storage} [storage] */
export function saveSettings(changes, project = '', storage = 'localStorage') {
  try {
    const settings = { ...loadSettings(project, storage), ...changes };
    globalThis[storage].setItem(STORAGE_KEY + project, JSON.stringify(settings));
  } catch { /* storage is full or forbidden; settings are not kept */ }
}

/** Restore the settings of the last visit, and store them on leaving. @param {import('./main.js').App} app */
export function restoreSettings(app) {
  const { tool, radius, display } = loadSettings();
  if (typeof tool === 'string') app.toolbox.setTool(tool);
  if (Number.isFinite(radius)) app.toolbox.setRadius(radius);
  const [fill, outline, opacity] = elements('fill', 'outline', 'opacity');
  const kind = element('view-kind');
  if (display) {
    [fill.checked, outline.checked] = [display.fill, display.outline];
    opacity.valueAsNumber = display.opacity;
    kind.value = display.kind ?? 'masks';
  }
  for (const field of [fill, outline, opacity, kind]) field.oninput = () => app.viewer.requestDraw();
  addEventListener('pagehide', () => {
    const { toolbox, playback, selection, project } = app;
    if (!project.id) return; // not described yet
    const shown = { fill: fill.checked, outline: outline.checked, opacity: opacity.valueAsNumber, kind: kind.value };
    saveSettings({ tool: toolbox.tool.name, radius: toolbox.radius, display: shown });
    saveSettings({ frame: playback.frame, object_id: selection.id, follows: playback.mode === 'follow' }, project.id);
    saveSettings({ prompts: toolbox.prompter.listStored() }, project.id);
    saveSettings({ hidden: [...selection.hiddenIds] }, project.id, 'sessionStorage');
  });
}
