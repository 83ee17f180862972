// @ts-check
/** The page: turns input into calls to the server and shows its events. */

import { ClipHeader, Versions } from './clips.js';
import { Connection, Refusal } from './connection.js';
import { addIcons, askOutdated, createElement, element, elements } from './dom.js';
import { Exporter } from './exporter.js';
import { FrameCache } from './frames.js';
import { EditHistory } from './history.js';
import { ObjectFields, showObjects } from './objects.js';
import { connectControls, showTools } from './panels.js';
import { Playback } from './playback.js';
import { DrawingQueue } from './queue.js';
import { loadSettings, restoreSettings } from './settings.js';
import { bindings, Inputs, showKeys, Shortcuts } from './shortcuts.js';
import { Timeline } from './timeline.js';
import { Toolbox } from './tools.js';
import { Review, Tracking } from './tracking.js';
import { Viewer } from './viewer.js';

/** @typedef {import('./protocol.js').ObjectInfo} Item */
/** @typedef {import('./protocol.js').Actions} Actions */
/** @typedef {import('./protocol.js').Event} Event */

/** Actions that end a series of clicks. @type {(keyof Actions)[]} */
const CLICK_ENDING_ACTIONS = [
  'fill_holes', 'clear', 'remove_keyframe', 'drop_results', 'merge_objects', 'delete_object', 'restore_version', 'track',
];

export class App {
  constructor() {
    // the token is now a cookie; remove it from the address
    history.replaceState(null, '', location.pathname);
    this.chosen = 0;
    /** Object of drawings while none is chosen; each choice begins another. @type {import('./queue.js').PendingObject} */
    this.pendingObject = { id: 0 };
    this.messageCount = 0;
    this.name = '';
    /** Id of the project. */
    this.project = '';
    /** Only this object is drawn; 0: all. */
    this.isolated = 0;
    /** Number of pending answers; the first one describes the session. */
    this.pendingCount = 1;
    /** @type {Item[]} */
    this.objects = [];
    /** Notes, objects and classes that show, as JSON. */
    this.listed = '';
    this.queue = new DrawingQueue(this);
    this.frames = new FrameCache();
    this.viewer = new Viewer(element('view'), element('place'));
    this.timeline = new Timeline(this);
    this.playback = new Playback(this);
    this.inputs = new Inputs(() => this.playback.ready);
    this.toolbox = new Toolbox(this, () => showTools(this.toolbox));
    this.tracking = new Tracking(this);
    this.review = new Review(this);
    this.history = new EditHistory(this);
    this.exporter = new Exporter(this);
    this.fields = new ObjectFields(this);
    this.clip = new ClipHeader(this);
    this.versions = new Versions(this);
    addIcons(document.body);
    connectControls(this);
    showKeys(new Shortcuts(bindings(this), this.inputs));
    restoreSettings(this);
    addEventListener('beforeunload', (event) => {
      this.flush();
      if (this.unsent) event.preventDefault(); // the browser asks
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
      if (!this.connection.open) this.showMessage(reason, true);
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
    if (place.chosen) this.chosen = place.chosen;
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
    this.history.setTitles(state.history);
    const { notes, objects, classes } = state;
    const listed = JSON.stringify([notes, objects, classes]);
    if (listed === this.listed) return; // somebody may be pressing a button of a list
    this.listed = listed;
    this.review.setNotes(notes);
    this.fields.setClasses(classes);
    this.setObjects(objects);
  }

  /** @param {Item[]} objects */
  setObjects(objects) {
    const none = !this.objects.length;
    this.objects = objects;
    const chosen = this.chosenItem?.id ?? (none && objects.length ? objects[objects.length - 1].id : 0);
    if (chosen !== this.chosen) [this.chosen, this.pendingObject] = [chosen, { id: 0 }];
    this.timeline.refreshObjects();
    if (!objects.some((item) => item.id === this.isolated)) this.isolated = 0;
    this.viewer.setObjects(objects.filter((item) => !item.hidden && (!this.isolated || item.id === this.isolated)));
    showObjects(this);
    this.fields.show(this.chosenItem);
    element('empty').hidden = objects.length > 0;
    for (const button of elements('delete', 'holes', 'absent')) button.disabled = !this.chosen;
    element('merge').disabled = !this.chosen || objects.length < 2;
  }

  get chosenItem() {
    return this.objects.find((item) => item.id === this.chosen);
  }

  /** Shown frame and chosen object, as messages name them; 0: the pending object. */
  target() {
    return { frame: this.playback.frame, object_id: this.chosen };
  }

  /**
   * Send an action after the drawings before it.
   * @template {keyof Actions} A
   * @param {A} action
   * @param {Actions[A]['message']} message
   */
  async send(action, message) {
    if (CLICK_ENDING_ACTIONS.includes(action)) this.toolbox.cancel();
    const { pendingObject } = this;
    await this.queue.last;
    const isPending = 'object_id' in message && message.object_id === 0;
    return this.request(action, isPending ? { ...message, object_id: pendingObject.id } : message);
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
  get unsent() {
    return Boolean(this.name) && (this.pendingCount > 0 || this.queue.unsent);
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
  showMessage(text, problem = false) {
    this.messageCount += 1;
    element('status').textContent = text;
    element('status').className = problem ? 'error' : '';
  }

  /** Choose an object, and drop unfinished input for another. @param {number} id */
  choose(id) {
    if (id !== this.chosen) this.toolbox.cancel();
    this.setChosen(id);
  }

  /** @param {number} id */
  setChosen(id) {
    [this.chosen, this.pendingObject] = [id, { id: 0 }];
    this.setObjects(this.objects);
  }

  /** Store the object that a drawing has made, and choose it unless another choice was made. @param {import('./queue.js').PendingObject} target @param {number} id */
  setPendingId(target, id) {
    target.id = id;
    if (target === this.pendingObject) this.setChosen(id);
  }

  /** Show only one object, or all again. @param {number} id 0: background */
  isolate(id) {
    this.isolated = id && id !== this.isolated ? id : 0;
    if (this.isolated) this.choose(id);
    else this.setObjects(this.objects);
    this.showMessage(this.isolated ? `Only ${this.getName(id)} is shown; a double click on it shows all again.` : '');
  }

  /** @param {number} by */
  chooseNext(by) {
    const index = this.objects.findIndex((item) => item.id === this.chosen);
    this.chooseIndex(Math.min(this.objects.length - 1, Math.max(0, index + by)));
  }

  /** @param {number} index */
  chooseIndex(index) {
    if (this.objects[index]) this.choose(this.objects[index].id);
  }

  /** Make an object, on which is drawn from now on. */
  async addObject() {
    const before = this.chosen;
    this.choose(0);
    const { pendingObject } = this;
    const answer = await this.queue.push('add_object', {}, pendingObject);
    if (!answer && pendingObject === this.pendingObject) this.setChosen(before);
  }

  async deleteObject() {
    const item = this.chosenItem;
    if (item) this.history.offer(await this.send('delete_object', { object_id: item.id }), `${item.name} deleted`);
  }

  async fillHoles() {
    this.history.reportTaken(await this.send('fill_holes', this.target()));
  }

  /** Mark the chosen object as absent on this frame. */
  markAbsent() {
    return this.send('clear', this.target());
  }

  /** @param {number} id @param {Omit<Actions['change_object']['message'], 'object_id'>} changes */
  change(id, changes) {
    return this.queue.push('change_object', { object_id: id, ...changes });
  }

  /** @param {'hidden' | 'locked'} key */
  toggle(key) {
    const item = this.chosenItem;
    if (item) this.change(item.id, { [key]: !item[key] });
  }

  escape() {
    this.inputs.clear();
    if (this.toolbox.hasUnfinishedInput) this.toolbox.cancel();
    else if (this.tracking.job) this.send('stop', {});
  }
}

/** @param {App} app @returns {{[E in Event as E['event']]: (event: E) => void}} */
function eventHandlers(app) {
  const { frames, playback, review, timeline, tracking } = app;
  return {
    frame: ({ frame, marks, revision }) => {
      frames.revisions.set(frame, revision);
      timeline.setCodes(frame, marks);
      if (frame === playback.wanted.frame) playback.refresh(revision);
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
