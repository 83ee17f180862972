/** Main application: connects the parts of the page, and shows the server's state and events.

 The constructor of each class lists the parts that it uses. `Playback` holds a key press until its frame shows,
 `EditQueue` an edit until the earlier ones are stored, `Connection` a message until it is answered.
 `studio/scripts/page_types.py` writes the types of messages, `protocol.d.ts`. */

import { Connection } from './connection.js';
import {
  CoalescedTask, addIcons, createElement, element, elements, focusViewIfLost, installFocusReturn,
} from './dom.js';
import { Exporter } from './exporter.js';
import { FrameCache } from './frames.js';
import { EditHistory } from './history.js';
import { MaskEdits } from './masks.js';
import { clearErrorAfter, showError, showHint, showLoading, showMessage } from './messages.js';
import { ObjectPanel } from './objects.js';
import { Playback } from './playback.js';
import { Gestures } from './pointers.js';
import { Project } from './project.js';
import { EditQueue } from './queue.js';
import { Review } from './review.js';
import { Selection } from './selection.js';
import { loadSettings, restoreSettings } from './settings.js';
import { connectShortcuts } from './shortcuts.js';
import { Timeline } from './timeline.js';
import { Toolbox } from './tools.js';
import { Tracking } from './tracking.js';
import { Viewer } from './viewer.js';

/** @import { Description, PageState, ServerEvent } from './protocol.js' */

const IN_LIST = /\/clip\/[^/]+\/$/; // address of a clip of a list

export class App {
  constructor() {
    // the token is now a cookie; remove it from the address
    history.replaceState(null, '', location.pathname);
    this.project = new Project();
    this.lastScrolledId = 0; // object to which list and timeline have scrolled
    this.connection = new Connection(this);
    this.queue = new EditQueue(this.connection, this.project, async (answer, target, into) => {
      await this.playback.refresh(answer.revision);
      this.history.reportLosses(answer);
      if (this.selection.hiddenIds.delete(answer.result?.object_id)) this.renderObjects(); // it was drawn
      if (target) this.selection.updateTarget(target, answer.result?.object_id || into || 0);
    });
    this.selection = new Selection(this.project, this.queue);
    this.frames = new FrameCache();
    this.viewer = new Viewer();
    this.playback = new Playback(this.frames, this.project, this.viewer);
    this.history = new EditHistory(this);
    this.toolbox = new Toolbox(this);
    this.timeline = new Timeline(this);
    this.review = new Review(this);
    this.tracking = new Tracking(this);
    this.exporter = new Exporter(this);
    this.maskEdits = new MaskEdits(this);
    this.objectPanel = new ObjectPanel(this);
    this.neighborTask = new CoalescedTask(() => this.showNeighbors().catch(showError));
    addIcons();
    installFocusReturn();
    element('panels').onclick = () => this.togglePanels();
    this.selection.onChange = () => this.renderObjects();
    this.playback.onLeave = this.selection.onLeave = () => this.toolbox.finish();
    this.playback.onCommand = () => { if (this.toolbox.held) this.toolbox.release(); };
    this.playback.onWait = () => this.toolbox.show();
    this.playback.isDrawing = () => this.toolbox.hasInput || this.toolbox.sentInput.length > 0;
    this.timeline.onRangeDrag = (range) => this.tracking.showRange(range);
    this.timeline.onRangeDrop = () => this.tracking.sendRange();
    this.playback.onShow = () => {
      this.toolbox.show();
      this.timeline.showFrame();
      this.review.showFrame();
      this.neighborTask.run();
    };
    this.history.onCompare = () => this.neighborTask.run();
    element('prompts').addEventListener('input', () => this.toolbox.show());
    element('view-kind').addEventListener('change', () => this.neighborTask.run());
    this.gestures = new Gestures(this);
    connectShortcuts(this);
    restoreSettings(this);
    addEventListener('beforeunload', (event) => {
      this.saveBeforeClose(true);
      const { hasDrafts } = this.objectPanel;
      const isSending = this.queue.requestCount > 0 || this.queue.actions.size > 0;
      const hasInput = this.playback.commands.length > 0 || this.toolbox.hasInput;
      if (this.project.id && (isSending || hasDrafts || hasInput)) event.preventDefault(); // the browser asks
    });
    addEventListener('pagehide', () => this.saveBeforeClose(false));
    // phones end hidden pages without another event
    document.addEventListener('visibilitychange', () => document.hidden && this.saveBeforeClose(true));
    this.queue.addPending(1); // until the first session shows
    this.connection.connect();
  }

  /** Show the session, or the reason for the lost connection. @param {boolean} isOpen */
  async showConnection(isOpen) {
    try {
      if (isOpen) await clearErrorAfter(this.fetchSession().then((session) => this.showSession(session)));
      else throw await this.connection.findDisconnectError();
    } catch (/** @type {any} */ error) {
      if (isOpen === this.connection.isOpen) showError(error); // unless it changed meanwhile
    }
  }

  /** Fetch the session's state; a newer event repeats the request. @returns {Promise<Description>} */
  async fetchSession() {
    this.project.revision = 0;
    this.frames.revisions.clear();
    const { result: session } = await this.connection.call('describe', {});
    return session.revision < this.project.revision ? this.fetchSession() : session; // an event brought a newer state
  }

  /** Show the state described by the server. @param {Description} state */
  async showSession(state) {
    this.queue.repeatableActions = state.repeatable_actions;
    this.frames.video = state.video;
    this.frames.setRevision(state.revision);
    this.playback.setVideo(state);
    this.viewer.setSize(state.size);
    this.tracking.setModels(state.models, state.model);
    const lastVisit = this.project.id ? null : loadSettings(state.project);
    element('name').textContent = element('name').title = document.title = state.name;
    this.project.id = state.project;
    if (lastVisit?.prompts) this.toolbox.prompter.restore(lastVisit.prompts);
    if (lastVisit) this.selection.hiddenIds = new Set(loadSettings(state.project, 'sessionStorage').hidden);
    if (lastVisit?.object_id) this.selection.setSelected(lastVisit.object_id);
    for (const item of elements('clips', 'done')) item.hidden = !IN_LIST.test(location.pathname);
    this.timeline.setMarks(state.timeline);
    this.showDocument(state);
    this.tracking.showJob(state.job);
    if (state.cut_off && lastVisit) this.tracking.offerToContinue(state.cut_off);
    element('problems').replaceChildren(...state.problems.map((text) => createElement('li', {}, text)));
    if (state.problems.length) showMessage(state.problems.join(' · '), true);
    else showHint('');
    await this.playback.goTo(lastVisit ? lastVisit.frame || 0 : this.playback.wanted.frame);
    this.review.fetchTask.run();
    if (!lastVisit) return; // connected again
    if (lastVisit.follows && this.tracking.job && this.playback.mode === 'idle') this.playback.setMode('follow');
    this.queue.addPending(-1);
  }

  /** Show objects, range, and whether it is done; the masks are fetched separately. @param {PageState} state */
  showDocument(state) {
    if (state.revision < this.project.revision) return; // it arrived late
    const wasEmpty = !this.project.objects.length;
    Object.assign(this.project, state);
    this.toolbox.prompter.updateStep(state.step);
    this.tracking.showStoredRange();
    element('done').ariaPressed = String(state.done);
    this.history.show(state);
    this.review.showFrame();
    this.review.show();
    const keys = new Map(state.schema.map(({ name, key }) => [name, key && `Alt+${key.toUpperCase()}`]));
    element('classes').replaceChildren(...state.classes.map((value) => (
      createElement('option', { value, label: keys.get(value) ?? '' }))));
    const last = this.project.objects[this.project.objects.length - 1];
    // an edit of this page selects the object that it creates
    const isFirstOfAnotherPage = wasEmpty && last && !this.selection.item && !this.queue.hasEdits;
    if (isFirstOfAnotherPage) this.selection.setSelected(last.id);
    else this.renderObjects();
  }

  renderObjects() {
    const { objectPanel, project, selection, selection: { id: selectedId } } = this;
    this.timeline.requestDraw();
    this.viewer.setObjects(project.objects.filter(({ id }) => selection.isVisible(id)));
    objectPanel.show();
    if (selectedId !== this.lastScrolledId) this.scrollToSelected();
    this.toolbox.show();
  }

  /** Scroll to the selected object in the list and the timeline, once after each selection. */
  scrollToSelected() {
    const { id, item } = this.selection;
    this.lastScrolledId = id;
    if (!item) return;
    this.objectPanel.list.scrollToRow(id);
    this.timeline.scrollToRow(this.project.objects.indexOf(item));
  }

  /** Commit what is being typed and send unanswered edits when the page closes. @param {boolean} userMayStay */
  saveBeforeClose(userMayStay) {
    // as when the field loses the focus, which stays if the user does
    const field = /** @type {HTMLInputElement | null} */ (document.activeElement);
    const isChanged = field?.matches('[type=number], [type=color]') && field.value !== field.defaultValue;
    for (const type of isChanged ? ['change', 'blur'] : ['blur']) field?.dispatchEvent(new Event(type));
    this.queue.sendOnClose(userMayStay);
  }

  /** Show the outlines of the version to compare or, in the onion skin, of the frames before and after. */
  async showNeighbors() {
    const { frames, playback: { count, frame, shown }, viewer } = this;
    const { comparedVersion: version } = this.history;
    const isOnion = !version && element('view-kind').value === 'onion';
    const indices = [frame - 1, frame + 1].filter((index) => isOnion && index >= 0 && index < count);
    const labels = version ? [await frames.fetchVersion(frame, version)]
      : await Promise.all(indices.map((index) => frames.fetchLabels(index)));
    if (shown === this.playback.shown) viewer.setNeighbors(labels); // the frame still shows
  }

  /** Show or hide the panels in a narrow window. */
  togglePanels() {
    focusViewIfLost(() => { element('panels').ariaExpanded = String(document.body.classList.toggle('panels-open')); });
    this.scrollToSelected();
  }

  /** Mark the clip as done, or as not done. */
  toggleDone() {
    if (!element('done').hidden) this.queue.edit('set_done', { done: !this.project.done });
  }

  escape() {
    this.playback.dropCommands();
    if (this.toolbox.cancel()) return;
    if (element('panels').checkVisibility() && element('panels').ariaExpanded === 'true') this.togglePanels();
    else this.tracking.stop();
  }

  handleEvent(/** @type {ServerEvent} */ event) {
    const { frames, playback, review, timeline, tracking } = this;
    if (event.event === 'frame') {
      frames.revisions.set(event.frame, event.revision);
      timeline.setFrameMarks(event.frame, event.marks);
      if (event.frame === playback.wanted.frame) playback.refresh(event.revision);
      else if (Math.abs(event.frame - playback.frame) === 1) this.neighborTask.run();
      review.refreshFrame(event.frame);
    } else if (event.event === 'document') this.showDocument(event.state);
    else if (event.event === 'results') {
      frames.setRevision(event.revision);
      playback.refresh(event.revision);
      timeline.fetchTask.run();
      review.fetchTask.run();
    } else if (event.event === 'unchecked') review.reportUnchecked(event);
    else if (event.event === 'job') tracking.showJob(event.job);
    else if (event.event === 'model') tracking.setModel(event.model);
    else if (event.event === 'loading') showLoading(event.loading);
    else if (event.event === 'export') element('export-progress').value = event.done / event.total;
  }
}

new App();
