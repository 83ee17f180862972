// @ts-check
/** A batch of clips: list from the server, status, next clip; kept versions of a clip. */

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

/** Return the next clip that needs work and that nobody has, after one of the list. @param {Clip[]} clips @param {string} [name] */
export function findNext(clips, name) {
  const index = clips.findIndex((clip) => clip.name === name) + 1;
  return [...clips.slice(index), ...clips.slice(0, index)].find((clip) => clip.name !== name && isFree(clip) && ['open', 'in progress', 'rejected'].includes(clip.status));
}

/** Return whether a clip can be opened. @param {Clip} clip */
export const isFree = (clip) => !clip.holder;

/** @param {ClipStatus} chosen */
export function makeStatusList(chosen) {
  const list = createElement('select', {});
  list.append(...STATUSES.map((status) => createElement('option', { value: status, textContent: status })));
  list.value = chosen;
  return list;
}

export class ClipHeader {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Status and note that the server has. @type {{status: ClipStatus, note: string}} */
    this.stored = { status: 'open', note: '' };
    for (const field of elements('clip-status', 'clip-note')) field.onchange = () => this.send();
    element('clip-status').append(...makeStatusList('open').children);
  }

  /** @param {import('./protocol.js').Description} description */
  show({ status, note, shared }) {
    const listed = new URL('..', location.href).pathname.endsWith('/clip/');
    for (const link of elements('clips', 'next-clip')) link.hidden = !listed;
    element('name-field').hidden = listed || !shared;
    this.setStatus(status, note);
  }

  /** @param {ClipStatus} status @param {string} note */
  setStatus(status, note) {
    this.stored = { status, note };
    element('clip-status').value = status;
    element('clip-note').value = note;
    element('clip-note').hidden = status !== 'rejected' && !note;
  }

  async send() {
    const values = { status: /** @type {ClipStatus} */ (element('clip-status').value), note: element('clip-note').value.trim() };
    if (values.status === 'rejected' && !values.note) {
      element('clip-note').hidden = false;
      element('clip-note').focus(); // before the answer: afterwards somebody may be typing elsewhere
    }
    if (!(await this.app.send('set_status', values))) this.setStatus(this.stored.status, this.stored.note);
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
    onSubmit(element('version-keep'), () => this.keep());
  }

  async open() {
    await this.show();
    element('versions-dialog').showModal();
  }

  async keep() {
    if (await this.app.send('keep_version', { title: element('version-title').value.trim() })) element('version-title').value = '';
    await this.show();
  }

  async show() {
    const versions = (await this.app.send('list_versions'))?.result;
    if (!versions) return;
    element('versions').replaceChildren(...versions.map(({ number, title, person, date }) => {
      const line = createElement('li', {});
      const restore = createElement('button', { type: 'button', textContent: 'Restore', onclick: () => this.restore(number) });
      restore.setAttribute('aria-label', `Restore version ${number}`);
      const text = [`${number}: ${title || 'without title'}`, person, date].filter(Boolean).join(' · ');
      line.append(createElement('span', { textContent: text }), restore);
      return line;
    }));
    element('versions-empty').hidden = versions.length > 0;
  }

  /** @param {number} number */
  async restore(number) {
    element('versions-dialog').close();
    this.app.history.offer(await this.app.send('restore_version', { number }), `Version ${number} is restored`);
    this.app.review.refresh();
  }
}
