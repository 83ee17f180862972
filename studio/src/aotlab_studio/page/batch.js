// @ts-check
/** List of the clips of a batch, the most urgent first. */

import { fetchClips, findNext, makeStatusOptions, STATUSES } from './clips.js';
import { addIcons, askOutdated, connectPerson, countText, createElement, element, onSubmit, replaceChildren } from './dom.js';

/** @typedef {import('./protocol.js').Clip} Clip */

/** Milliseconds between two refreshes. */
const INTERVAL = 5000;

/** HTTP status of a request that asks what to do about outdated frames. */
const OUTDATED = 428;

class BatchPage {
  constructor() {
    history.replaceState(null, '', location.pathname); // without the token
    /** @type {Clip[]} */
    this.clips = [];
    /** The list that is shown, as JSON. */
    this.shown = '';
    /** Whether the list could not be read. */
    this.failed = false;
    connectPerson(() => this.showMessage(''));
    element('filter').append(...makeStatusOptions());
    element('filter').onchange = () => this.show();
    element('next-clip').onclick = () => this.openNext();
    element('track-all').onclick = () => this.trackAll();
    onSubmit(element('export-clips'), () => this.exportClips());
    document.addEventListener('keydown', (event) => {
      if (event.key !== '>' || /** @type {HTMLElement} */ (event.target).matches('input, select')) return;
      event.preventDefault(); // the name's field may get the focus
      this.openNext();
    });
    addIcons(document.body);
    this.refresh();
    element('clips').addEventListener('focusout', () => setTimeout(() => this.show()));
    setInterval(() => { if (!document.hidden) this.refresh(); }, INTERVAL);
  }

  /** @param {boolean} [force] as in `show` */
  async refresh(force) {
    try {
      this.clips = await fetchClips('');
      if (this.failed) this.showMessage('');
      this.failed = false;
      this.show(force);
    } catch (error) {
      this.failed = true;
      this.showError(error);
    }
  }

  /** Show the list, unless a note is being typed. @param {boolean} [force] also if it is the same, or a status may be being chosen */
  show(force = false) {
    const key = JSON.stringify([this.clips, element('filter').value]);
    const { activeElement: active } = document;
    if (active instanceof HTMLInputElement && active.matches('#clips input') && active.value !== active.defaultValue) return;
    if (!force && (key === this.shown || active?.matches('#clips select'))) return;
    this.shown = key;
    const count = (/** @type {string} */ status) => this.clips.filter((clip) => clip.status === status).length;
    const counts = STATUSES.filter(count).map((status) => `${count(status)} ${status}`);
    element('summary').textContent = `${countText(this.clips.length, 'clip')}: ${counts.join(', ')}. Those with the most to check come first.`;
    element('track-all').hidden = !this.clips.some((clip) => clip.untracked);
    const shown = this.clips.filter((clip) => [clip.status, ''].includes(element('filter').value));
    replaceChildren(element('clips'), shown.map((clip) => this.row(clip)));
  }

  /** @param {Clip} clip */
  row(clip) {
    const { name, status, note, holder, author, error, sentences, digest } = clip;
    const address = encodeURIComponent(name);
    const link = createElement('a', { name, href: `clip/${address}/`, onclick: (/** @type {Event} */ event) => this.checkPerson(event) },
      createElement('img', { src: `thumbnail/${address}?digest=${digest}`, alt: '', loading: 'lazy' }), createElement('span', { textContent: name }));
    const checks = (error ? [error] : sentences).map((textContent) => createElement('li', { textContent }));
    const list = createElement('select', { name: `status of ${name}`, ariaLabel: `Status of ${name}` }, ...makeStatusOptions(status));
    const field = createElement('input', {
      name: `note on ${name}`, type: 'text', defaultValue: note, maxLength: 100, hidden: status !== 'rejected' && !note, placeholder: 'Reason', ariaLabel: `Note on ${name}`,
    });
    list.onchange = field.onchange = () => {
      field.defaultValue = field.value; // nothing is being typed
      const reason = list.value === 'rejected' ? field.value.trim() : '';
      if (this.checkPerson()) this.setStatus(name, { status: list.value, note: reason, digest });
      else this.show(true); // without the status
    };
    return createElement('tr', {},
      createElement('th', { scope: 'row' }, link),
      createElement('td', {}, createElement('ul', {}, ...checks)),
      createElement('td', { className: status.replace(' ', '-') }, list, field),
      createElement('td', { textContent: holder ? `in use by ${holder}` : author }));
  }

  /** @param {string} name @param {{status: string, note: string, digest: string}} message `digest`: of the masks that the row is about */
  async setStatus(name, message) {
    if (await this.post(`clips/${encodeURIComponent(name)}`, message)) this.showMessage('');
    else this.show(true); // without what was refused
    await this.refresh(true);
  }

  /** Track all clips with drawn masks. */
  async trackAll() {
    if (!this.checkPerson()) return;
    const answer = await this.post('track', null);
    if (answer) this.showMessage(`${countText(await answer.json(), 'clip')} will be tracked, one after the other.`);
    await this.refresh();
  }

  /** Write the masks of all corrected and accepted clips. */
  async exportClips() {
    this.showMessage('Exporting…');
    const boxes = /** @type {NodeListOf<HTMLInputElement>} */ (element('export-form').querySelectorAll('input:checked'));
    const answer = await this.post('export', [...boxes].map((box) => box.name));
    if (!answer) return;
    const { names, problems, left_out: leftOut } = await answer.json();
    const sentences = [`${countText(names.length, 'clip')} exported.`, ...problems];
    if (leftOut.length) sentences.push(`Left out: ${leftOut.join(', ')}.`);
    this.showMessage(sentences.join(' '), problems.length > 0);
  }

  /**
   * Send a request, and ask what to do about outdated frames.
   * @param {string} address
   * @param {object | null} values
   * @returns {Promise<Response | undefined>} undefined if it failed and the error is shown
   */
  async post(address, values) {
    try {
      const answer = await fetch(address, { method: 'POST', body: JSON.stringify(values) });
      if (answer.ok) return answer;
      const refusal = answer.status === OUTDATED ? await answer.json() : { error: await answer.text() };
      const outdated = refusal.choices && await askOutdated(refusal);
      if (outdated) return await this.post(address, { ...values, outdated });
      throw new Error(refusal.error);
    } catch (error) {
      this.showError(error);
    }
    return undefined;
  }

  openNext() {
    const found = findNext(this.clips);
    if (!found) this.showMessage('No clip needs work.');
    else if (this.checkPerson()) location.assign(`clip/${encodeURIComponent(found.name)}/`);
  }

  /** Ask for the person's name; return whether it is there. @param {Event} [event] canceled without the name */
  checkPerson(event) {
    if (element('person').value.trim()) return true;
    event?.preventDefault();
    this.showMessage('Enter your name so others can see who is working on a clip.', true);
    element('person').focus();
    return false;
  }

  /** @param {unknown} error a `TypeError` if nothing answers */
  showError(error) {
    const advice = error instanceof TypeError ? '. Is the program still running?' : '';
    this.showMessage(`${error instanceof Error ? error.message : error}${advice}`, true);
  }

  /** @param {string} text @param {boolean} [problem] */
  showMessage(text, problem = false) {
    element('status').textContent = text;
    element('status').className = problem ? 'error' : '';
  }
}

new BatchPage();
