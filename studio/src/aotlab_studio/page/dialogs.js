// @ts-check
/** Dialogs for export and merging. */

import { element, make } from './dom.js';

/** Outputs that are chosen together. @type {Record<string, string[]>} */
const PRESETS = {
  masks: ['masks', 'overlay'], editor: ['mattes', 'prores'], CVAT: ['cvat'], COCO: ['coco', 'review'],
};

export class Exporter {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    element('export-start').onclick = () => this.start();
    element('presets').append(...Object.entries(PRESETS).map(([name, outputs]) => make('button', {
      type: 'button', textContent: name, onclick: () => this.check(outputs),
    })));
    element('export-cancel').onclick = () => this.app.send('cancel_export');
  }

  /** @param {import('./protocol.js').Choice[]} outputs */
  setNames(outputs) {
    const fields = element('outputs');
    const legend = fields.querySelector('legend');
    fields.replaceChildren(legend, ...outputs.map(({ value, text }) => {
      const label = make('label', {});
      label.append(make('input', { type: 'checkbox', name: value, checked: PRESETS.masks.includes(value) }), ` ${text}`);
      return label;
    }));
  }

  /** Choose these outputs. @param {string[]} names */
  check(names) {
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('#outputs input'))) {
      box.checked = names.includes(box.name);
    }
  }

  open() {
    element('download').hidden = true;
    element('export-dialog').showModal();
  }

  async start() {
    const names = [...document.querySelectorAll('#outputs input')]
      .map((box) => /** @type {HTMLInputElement} */ (box)).filter((box) => box.checked).map((box) => box.name);
    element('export-start').disabled = true;
    element('export-progress').hidden = element('export-cancel').hidden = false;
    element('download').hidden = true;
    const done = await this.app.send('export', { names });
    element('export-start').disabled = false;
    element('export-progress').hidden = element('export-cancel').hidden = true;
    if (done) {
      element('download').hidden = false;
      element('download').textContent = `Download ${done}`;
      element('download').focus();
    } else {
      element('export-dialog').close();
    }
  }

  /** @param {{done: number, total: number}} event */
  progress(event) {
    element('export-progress').value = event.done / event.total;
  }
}

/** @param {import('./main.js').App} app */
export function openMerge(app) {
  const from = app.objects.find((item) => item.id === app.chosen);
  const others = app.objects.filter((item) => item.id !== app.chosen);
  if (!from || !others.length) return;
  element('merge-from').textContent = from.name;
  element('merge-into').replaceChildren(...others.map((item) => make('option', { value: String(item.id), textContent: item.name })));
  const dialog = element('merge-dialog');
  dialog.returnValue = '';
  dialog.onclose = async () => {
    if (dialog.returnValue !== 'merge') return;
    const into = Number(element('merge-into').value);
    if ((await app.send('merge_objects', { object_id: from.id, into })) !== undefined) app.history.offer(`${from.name} is merged into ${app.nameOf(into)}`);
  };
  dialog.showModal();
}
