// @ts-check
/** A batch of clips: list from the server, status, next clip; saved versions of a clip. */

import { createElement, element, elements, onSubmit } from './dom.js';

/** @typedef {import('./protocol.js').Clip} Clip */
/** @typedef {Clip['status']} ClipStatus */

/** @type {ClipStatus[]} */
export const STATUSES = ['open', 'in progress', 'corrected', 'accepted', 'rejected'];

/** @param {string} base address of the batch @returns {Promise<Clip[]>} first those to look at first */
export async function fetchClips(base) {
  const answer = await fetch(`${base}clips`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** Return the next clip that needs work and that nobody has open. @param {Clip[]} clips @param {string} [name] clip to start after */
export function findNext(clips, name) {
  const index = clips.findIndex((clip) => clip.name === name) + 1;
  return [...clips.slice(index), ...clips.slice(0, index)].find((clip) => (
    clip.name !== name && !clip.holder && ['open', 'in progress', 'rejected'].includes(clip.status)));
}

/** Return the options of a list of statuses. @param {ClipStatus} [chosen] */
export function makeStatusOptions(chosen) {
  return STATUSES.map((value) => createElement('option', { value, textContent: value, selected: value === chosen }));
}

export class ClipHeader {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Status and note that the server has. @type {{status: ClipStatus, note: string}} */
    this.stored = { status: 'open', note: '' };
    /** What the fields show instead: status and note on their way, or a refused note. @type {{status?: ClipStatus, note?: string}} */
    this.unstored = {};
    /** Ends with the answer to the last status. @type {Promise<unknown>} */
    this.sent = Promise.resolve();
    for (const field of elements('clip-status', 'clip-note')) field.onchange = () => this.send();
    element('clip-note').onblur = () => this.setStatus(this.stored.status, this.stored.note);
    element('clip-status').append(...makeStatusOptions());
  }

  /** @param {import('./protocol.js').Description} description */
  show({ shared }) {
    const listed = new URL('..', location.href).pathname.endsWith('/clip/');
    for (const link of elements('clips', 'next-clip')) link.hidden = !listed;
    element('name-field').hidden = listed || !shared;
  }

  /** @param {ClipStatus} status @param {string} note */
  setStatus(status, note) {
    this.stored = { status, note };
    const shown = { ...this.stored, ...this.unstored };
    element('clip-status').value = shown.status;
    const field = element('clip-note');
    if (document.activeElement === field) return; // it is being typed
    field.value = shown.note;
    field.hidden = shown.status !== 'rejected' && !shown.note;
  }

  /** Store the status of the fields, after the one before it. */
  send() {
    const field = element('clip-note');
    const status = /** @type {ClipStatus} */ (element('clip-status').value);
    const note = field.value.trim();
    if (status === 'rejected' && !note) {
      field.hidden = false;
      field.focus(); // before the answer: afterwards somebody may be typing elsewhere
    }
    const message = { status, note };
    this.unstored = message;
    const { queue } = this.app;
    const send = queue.keep('set_status', message);
    this.sent = this.sent.then(async () => {
      await queue.last;
      const done = await send();
      if (this.unstored === message) this.unstored = done || note === this.stored.note ? {} : { note };
      this.setStatus(this.stored.status, this.stored.note);
    });
  }

  /** Open the next clip that needs work. */
  async next() {
    if (element('clips').hidden) return;
    try {
      const found = findNext(await fetchClips('../../'), this.app.name);
      if (found) location.assign(`../${encodeURIComponent(found.name)}/`);
      else this.app.showMessage('No other clip needs work.');
    } catch (error) {
      this.app.showError(error);
    }
  }
}

export class Versions {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    onSubmit(element('version-save'), () => this.save());
  }

  async open() {
    await this.show();
    element('versions-dialog').showModal();
  }

  async save() {
    const field = element('version-title');
    const title = field.value.trim();
    field.value = '';
    if (!(await this.app.send('save_version', { title }))) field.value ||= title;
    await this.show();
  }

  async show() {
    const versions = (await this.app.send('list_versions', {}))?.result;
    if (!versions) return;
    element('versions').replaceChildren(...versions.map(({ number, title, author, date }) => {
      const text = [`${number}: ${title || 'untitled'}`, author, date].filter(Boolean).join(' · ');
      return createElement('li', {}, createElement('span', { textContent: text }), createElement('button', {
        type: 'button', textContent: 'Restore', ariaLabel: `Restore version ${number}`, onclick: () => this.restore(number),
      }));
    }));
    element('versions-empty').hidden = versions.length > 0;
  }

  /** @param {number} number */
  async restore(number) {
    element('versions-dialog').close();
    this.app.history.offer(await this.app.send('restore_version', { number }), `Version ${number} restored`);
    this.app.review.refresh();
  }
}
