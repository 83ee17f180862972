/** Saved versions of the masks, and their dialog. */

import { createElement, element, onSubmit } from './dom.js';

/** @typedef {import('./main.js').App} App */

/** @param {App} app */
export function connectVersions(app) {
  element('open-versions').onclick = async () => {
    await showVersions(app);
    element('versions-dialog').showModal();
  };
  onSubmit(element('version-save'), async () => {
    const field = element('version-title');
    const title = field.value.trim();
    field.value = '';
    if ((await app.queue.request('save_version', { title })).error) field.value ||= title;
    await showVersions(app);
  });
}

/** @param {App} app */
async function showVersions(app) {
  const { result: versions } = await app.queue.request('list_versions', {});
  if (!versions) return;
  element('versions').replaceChildren(...versions.map(({ number, title, author, date }) => {
    const text = [`${number}: ${title || 'untitled'}`, author, date].filter(Boolean).join(' · ');
    return createElement('li', {}, createElement('span', {}, text), createElement('button', {
      type: 'button', ariaLabel: `Restore version ${number}`, onclick: () => restore(app, number),
    }, 'Restore'));
  }));
  element('versions-empty').hidden = versions.length > 0;
}

/** @param {App} app @param {number} number */
async function restore(app, number) {
  element('versions-dialog').close();
  app.history.offerUndo(await app.queue.request('restore_version', { number }), `Version ${number} restored`);
  app.review.refresh();
}
