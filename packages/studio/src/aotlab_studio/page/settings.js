/** Settings kept by the browser: tool and display; frame and object of each project; hidden ids of a tab. */

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
