// @ts-check
/** The page: turns input into calls to the server and shows its events. */

import { ClipHeader, Versions } from './clips.js';
import { Connection, Refusal } from './connection.js';
import { addIcons, askOutdated, createElement, element, elements, RowList, scrollTo, showStatus } from './dom.js';
import { Exporter } from './exporter.js';
import { FrameCache } from './frames.js';
import { EditHistory } from './history.js';
import { createObjectRow, ObjectFields } from './objects.js';
import { connectControls, showTools } from './panels.js';
import { Playback } from './playback.js';
import { EditQueue } from './queue.js';
import { loadSettings, restoreSettings } from './settings.js';
import { bindings, Inputs, showKeys, Shortcuts } from './shortcuts.js';
import { Timeline } from './timeline.js';
import { Toolbox } from './tools.js';
import { Review, Tracking } from './tracking.js';
import { Viewer } from './viewer.js';

/** @typedef {import('./protocol.js').ObjectInfo} Item */
/** @typedef {import('./protocol.js').Actions} Actions */
/** @typedef {import('./protocol.js').Event} Event */

export class App {
  constructor() {
    // the token is now a cookie; remove it from the address
    history.replaceState(null, '', location.pathname);
    /** @type {import('./queue.js').Selection} */
    this.selection = { id: 0 };
    this.messageCount = 0;
    this.name = '';
    /** Id of the project. */
    this.project = '';
    /** Only this object is drawn; 0: all. */
    this.isolatedId = 0;
    /** Object that was selected when an object was made, by the id of the new one. @type {Map<number, number>} */
    this.predecessors = new Map();
    /** Number of pending answers; the first one describes the session. */
    this.pendingCount = 1;
    /** @type {Item[]} */
    this.objects = [];
    /** Object that list and timeline have scrolled to. */
    this.shownId = 0;
    this.queue = new EditQueue(this);
    this.frames = new FrameCache();
    this.viewer = new Viewer(element('view'), element('place'));
    this.timeline = new Timeline(this);
    this.playback = new Playback(this);
    this.inputs = new Inputs(() => this.playback.isReady);
    this.toolbox = new Toolbox(this, () => showTools(this.toolbox));
    this.tracking = new Tracking(this);
    this.review = new Review(this);
    this.history = new EditHistory(this);
    this.exporter = new Exporter(this);
    /** @type {RowList<Item>} */
    this.objectList = new RowList(element('objects'), ({ id }) => id, ({ id }) => createObjectRow(id, this));
    this.fields = new ObjectFields(this);
    this.clip = new ClipHeader(this);
    this.versions = new Versions(this);
    addIcons(document.body);
    connectControls(this);
    showKeys(new Shortcuts(bindings(this), this.inputs));
    restoreSettings(this);
    addEventListener('beforeunload', (event) => {
      this.flush();
      if (this.hasUnsent) event.preventDefault(); // the browser asks
    });
    addEventListener('pagehide', () => this.flush());
    const handlers = eventHandlers(this);
    this.connection = new Connection(
      (event) => /** @type {(event: Event) => void} */ (handlers[event.event])(event), (connected) => this.connected(connected),
    );
  }

  /** @param {boolean} connected */
  async connected(connected) {
    if (!connected) {
      const reason = await this.connection.explainLoss(this.name);
      if (!this.connection.isOpen) this.showMessage(reason, true);
      return;
    }
    try {
      await this.showSession((await this.connection.call('describe', {})).result);
    } catch (error) {
      this.showError(error);
    }
  }

  /** Show the state described by the server. @param {import('./protocol.js').Description} state */
  async showSession(state) {
    this.frames.setVideo(state.video);
    this.frames.setRevision(state.revision);
    this.playback.setVideo(state);
    this.viewer.setSize(state.size);
    this.tracking.setModels(state.models, state.model);
    const first = !this.name;
    this.name = element('name').textContent = element('name').title = document.title = state.name;
    this.project = state.project;
    const place = (first && loadSettings().places?.[state.project]) || {};
    if (place.object_id) this.selection = { id: place.object_id };
    this.clip.show(state);
    this.timeline.setStrips(state.timeline);
    this.showDocument(state);
    if (first) this.exporter.setNames(state.outputs); // later, they may be chosen already
    this.tracking.setJob(state.job?.background ? null : state.job);
    this.tracking.setCorrection(state.job?.background ? state.job : null);
    element('problems').replaceChildren(...state.problems.map((textContent) => createElement('li', { textContent })));
    this.showMessage(state.problems.join(' · '), state.problems.length > 0);
    await this.playback.goTo(first ? place.frame || 0 : this.playback.frame);
    this.review.refresh();
    if (first) this.countPending(-1);
  }

  /** Show what was edited or tracked, without the masks. @param {import('./protocol.js').DocumentState} state */
  showDocument(state) {
    this.tracking.showRange(state.range);
    this.timeline.set({ editable: state.editable_range, outdated: state.outdated });
    this.clip.setStatus(state.status, state.note);
    this.history.show(state);
    this.review.setNotes(state.notes);
    this.fields.classes.show(state.classes);
    this.setObjects(state.objects);
  }

  /** @param {Item[]} objects */
  setObjects(objects) {
    const none = !this.objects.length;
    this.objects = objects;
    if (this.selectedId && !this.selectedItem) this.toolbox.cancel();
    const selectedId = this.selectedItem?.id ?? (none && objects.length ? objects[objects.length - 1].id : 0);
    if (selectedId !== this.selectedId) this.selection = { id: selectedId };
    this.timeline.redraw();
    if (!objects.some((item) => item.id === this.isolatedId)) this.isolatedId = 0;
    this.viewer.setObjects(objects.filter((item) => !item.hidden && (!this.isolatedId || item.id === this.isolatedId)));
    this.objectList.show(objects);
    if (this.selectedId !== this.shownId) this.scrollToSelected();
    this.fields.show(this.selectedItem);
    this.toolbox.show();
    element('empty').hidden = this.selectedId > 0;
    for (const button of elements('delete', 'holes', 'absent')) button.disabled = !this.selectedId;
    element('merge').disabled = !this.selectedId || objects.length < 2;
  }

  /** Scroll to the selected object in the list and the timeline, once after each selection. */
  scrollToSelected() {
    this.shownId = this.selectedId;
    const line = this.objectList.rows.get(this.shownId)?.line;
    if (!line) return;
    const top = line.offsetTop - this.objectList.list.offsetTop;
    scrollTo(this.objectList.list, top, top + line.offsetHeight);
    this.timeline.scrollToRow(this.objects.findIndex(({ id }) => id === this.shownId));
  }

  get selectedId() {
    return this.selection.id;
  }

  get selectedItem() {
    return this.objects.find((item) => item.id === this.selectedId);
  }

  /** Send an action after the drawings before it. @template {keyof Actions} A @param {A} action @param {Actions[A]['message']} message */
  async send(action, message) {
    await this.queue.last;
    return this.request(action, message);
  }

  /**
   * Edit the selected object's mask on this frame after the drawings before it, which may make the object.
   * @template {import('./queue.js').MaskEdit} A
   * @param {A} action
   * @param {object} [values] further fields of the message
   */
  async editMask(action, values) {
    const { selection, playback: { frame }, queue } = this;
    if (selection.id || queue.hasUnsent) return queue.push(action, /** @type {any} */ ({ frame, object_id: null, ...values }), selection);
    this.showMessage('Select an object first.', true);
    return undefined;
  }

  /**
   * @template {keyof Actions} A
   * @param {A} action
   * @param {Actions[A]['message']} message
   * @param {number} [id] of a message that may be sent again
   * @returns {Promise<import('./connection.js').ActionAnswer<A> | undefined>} undefined if it failed and the error is shown
   */
  async request(action, message, id) {
    const count = this.messageCount;
    this.countPending(1);
    try {
      const answer = await this.connection.call(action, message, id);
      await this.playback.refresh(answer.revision);
      if (element('status').className && this.messageCount === count) this.showMessage('');
      return answer;
    } catch (error) {
      const outdated = error instanceof Refusal && error.failure.choices.length ? await askOutdated(error.failure) : '';
      if (outdated) return this.request(action, { ...message, outdated });
      this.showError(error);
      return undefined;
    } finally {
      this.countPending(-1);
    }
  }

  /** Commit the text that is being typed, and send what is not acknowledged, as the page closes. */
  flush() {
    const field = document.activeElement;
    if (field instanceof HTMLInputElement && field.type === 'text') field.blur();
    this.queue.flush();
  }

  /** Whether the server has not acknowledged something. */
  get hasUnsent() {
    return Boolean(this.name) && (this.pendingCount > 0 || this.queue.hasUnsent);
  }

  /** Count pending answers; the page is busy while there are any. @param {number} by */
  countPending(by) {
    const before = this.pendingCount > 0;
    this.pendingCount += by;
    if (before !== this.pendingCount > 0) element('stage').setAttribute('aria-busy', String(this.pendingCount > 0));
  }

  /** @param {unknown} error */
  showError(error) {
    this.showMessage(error instanceof Error ? error.message : String(error), true);
  }

  /** @param {number} id */
  getName(id) {
    return this.objects.find((item) => item.id === id)?.name || `object ${id}`;
  }

  /** @param {string} text @param {boolean} [problem] */
  showMessage(text, problem) {
    this.messageCount += 1;
    showStatus(text, problem);
  }

  /** Select an object, and drop unfinished input for another. @param {number} id */
  select(id) {
    if (id !== this.selectedId) this.toolbox.cancel();
    this.setSelected(id);
  }

  /** @param {number} id */
  setSelected(id) {
    this.selection = { id };
    this.setObjects(this.objects);
  }

  /** Select an object that was made of or beside another one, unless a third one was selected meanwhile. @param {number} id @param {number} before */
  selectNew(id, before) {
    this.predecessors.set(id, before);
    if (this.selectedId === before) this.setSelected(id);
  }

  /** Select the object before one that an undo may have removed. @param {number} id */
  selectPredecessor(id) {
    let found = id;
    while (found && !this.objects.some((item) => item.id === found)) found = this.predecessors.get(found) ?? 0;
    if (found !== id && !this.selectedId) this.setSelected(found);
  }

  /** Show only one object, or all again. @param {number} id 0: background */
  isolate(id) {
    this.isolatedId = id && id !== this.isolatedId ? id : 0;
    if (this.isolatedId) this.select(id);
    else this.setObjects(this.objects);
    this.showMessage(this.isolatedId ? `Only ${this.getName(id)} is shown; a double click on it shows all again.` : '');
  }

  /** @param {number} by */
  selectNext(by) {
    const index = this.objects.findIndex((item) => item.id === this.selectedId);
    this.selectIndex(Math.min(this.objects.length - 1, Math.max(0, index + by)));
  }

  /** @param {number} index */
  selectIndex(index) {
    if (this.objects[index]) this.select(this.objects[index].id);
  }

  /** Make an object, on which is drawn from now on. */
  async addObject() {
    const before = this.selectedId;
    this.select(0);
    const { selection } = this;
    const answer = await this.queue.push('add_object', {}, selection);
    if (answer) this.predecessors.set(answer.result, before);
    else if (selection === this.selection) this.setSelected(before);
  }

  async deleteObject() {
    const item = this.selectedItem;
    if (item) this.history.offer(await this.queue.push('delete_object', { object_id: item.id }), `${item.name} deleted`);
  }

  /** @param {number} id @param {Omit<Actions['change_object']['message'], 'object_id'>} changes */
  change(id, changes) {
    return this.queue.push('change_object', { object_id: id, ...changes });
  }

  /** @param {'hidden' | 'locked'} key @param {number} id */
  toggle(key, id = this.selectedId) {
    const found = this.objects.find((item) => item.id === id);
    if (found) this.change(id, { [key]: !found[key] });
  }

  escape() {
    this.inputs.clear();
    if (this.toolbox.hasUnfinishedInput) this.toolbox.cancel();
    else this.tracking.stop();
  }
}

/** @param {App} app @returns {{[E in Event as E['event']]: (event: E) => void}} */
function eventHandlers(app) {
  const { frames, playback, review, timeline, tracking } = app;
  return {
    frame: ({ frame, marks, revision }) => {
      frames.revisions.set(frame, revision);
      timeline.setCodes(frame, marks);
      if (frame === playback.target.frame) playback.refresh(revision);
      review.refreshFrame(frame);
    },
    document: ({ state }) => app.showDocument(state),
    results: ({ revision }) => {
      frames.setRevision(revision);
      playback.refresh(revision);
      review.refresh();
    },
    job: ({ job }) => (job.background ? tracking.setCorrection(job) : tracking.setJob(job)),
    model: ({ model }) => tracking.setModel(model),
    export: ({ done, total }) => { element('export-progress').value = done / total; },
  };
}

new App();
