// @ts-check
/** The page: what the person does becomes calls to the server, what changes there is shown. */

import { Connection } from './connection.js';
import { showTools, wire } from './controls.js';
import { Exporter } from './dialogs.js';
import { Frames } from './frames.js';
import { element } from './page.js';
import { showObjects } from './panels.js';
import { Playback } from './playback.js';
import { Review } from './review.js';
import { Timeline } from './timeline.js';
import { Toolbox } from './tools.js';
import { Tracking } from './tracking.js';
import { Viewer } from './viewer.js';

/** @typedef {import('./panels.js').Item} Item */

const DRAWING = ['paint', 'outline', 'suggest'];

/** After these, a box and clicks begin anew. */
const ENDING = ['undo', 'redo', 'fill_holes', 'clear', 'take_back', 'drop_results', 'merge_objects', 'track'];

export class App {
  constructor() {
    // the token has become a cookie; it shall not stay in the address
    history.replaceState(null, '', location.pathname);
    this.chosen = 0;
    /** @type {Item[]} */
    this.objects = [];
    this.frames = new Frames();
    this.viewer = new Viewer(element('view'));
    this.timeline = new Timeline(element('strips'), element('preview'), (frame) => this.playback.seek(frame));
    this.toolbox = new Toolbox(this.viewer, {
      send: (action, values) => this.send(action, values),
      colour: () => this.objects.find((item) => item.number === this.chosen)?.colour || '#ff4b4b',
      present: () => Boolean(this.chosen && this.viewer.labels?.ids.includes(this.chosen)),
      changed: () => showTools(this.toolbox),
      say: (text) => this.say(text),
    });
    this.playback = new Playback(this);
    this.tracking = new Tracking(this);
    this.review = new Review(this);
    this.exporter = new Exporter(this);
    wire(this);
    this.connection = new Connection((event) => this.take(event), (connected) => this.connected(connected));
  }

  /** @param {boolean} connected */
  async connected(connected) {
    if (!connected) {
      this.say('The connection was lost. Is the program still running? Trying again…', true);
      return;
    }
    const state = await this.connection.call('describe');
    this.playback.rate = state.rate;
    this.playback.revision = 0;
    this.playback.setCount(state.frames);
    this.viewer.setSize(state.size);
    this.tracking.watchStream(state.live);
    this.tracking.setSettings(state.tracker);
    element('name').textContent = document.title = state.name;
    this.timeline.setStrips(state.strips);
    this.setObjects(state.objects);
    this.setHistory(state.history);
    this.exporter.setNames(state.outputs);
    this.tracking.setJob(state.job);
    this.say('');
    await this.playback.goTo(this.playback.frame);
    this.review.refresh();
    document.body.dataset.ready = 'yes';
  }

  /** @param {any} event */
  take(event) {
    if (event.event === 'frame') {
      this.timeline.setCodes(event.frame, event.codes);
      this.playback.changed(event.frame, event.revision);
    } else if (event.event === 'objects') {
      this.setObjects(event.objects);
      this.playback.refresh(event.revision);
    } else if (event.event === 'frames') {
      this.playback.setCount(event.count);
    } else if (event.event === 'history') {
      this.setHistory(event.titles);
    } else if (event.event === 'job') {
      this.tracking.setJob(event);
    } else if (event.event === 'tracker') {
      this.tracking.setSettings(event.settings);
    } else if (event.event === 'export') {
      this.exporter.progress(event);
    }
  }

  /** @param {Item[]} objects */
  setObjects(objects) {
    this.objects = objects;
    if (!objects.some((item) => item.number === this.chosen)) this.chosen = objects.length ? objects[objects.length - 1].number : 0;
    this.timeline.setObjects(objects);
    this.viewer.setObjects(objects.filter((item) => !item.hidden));
    showObjects(element('objects'), objects, this);
    element('empty').hidden = objects.length > 0;
    for (const id of ['delete', 'holes', 'absent']) element(id).disabled = !objects.length;
    element('merge').disabled = objects.length < 2;
  }

  /** @param {(string | null)[]} titles */
  setHistory(titles) {
    for (const [index, id] of ['undo', 'redo'].entries()) {
      element(id).disabled = !titles[index];
      element(id).title = titles[index] || '';
    }
  }

  /**
   * Do something with the chosen object on this frame; an object is made where there is none yet.
   * @param {string} action
   * @param {object} [values]
   */
  async send(action, values = {}) {
    const { frame } = this.playback;
    if (ENDING.includes(action)) this.toolbox.cancel();
    try {
      if (DRAWING.includes(action) && !this.chosen) this.chosen = await this.connection.call('add_object');
      const result = await this.connection.call(action, { frame, object: this.chosen, ...values });
      await this.playback.refresh(this.connection.revision);
      document.body.dataset.done = String(Number(document.body.dataset.done || 0) + 1);
      if (action === 'split_object') this.choose(result);
      return result;
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), true);
      return undefined;
    }
  }

  /** @param {string} text @param {boolean} [problem] */
  say(text, problem = false) {
    element('status').textContent = text;
    element('status').className = problem ? 'error' : '';
  }

  /** @param {number} number */
  choose(number) {
    this.chosen = number;
    this.toolbox.cancel();
    this.setObjects(this.objects);
  }

  /** @param {number} by */
  chooseNext(by) {
    const index = this.objects.findIndex((item) => item.number === this.chosen);
    this.chooseIndex(Math.min(this.objects.length - 1, Math.max(0, index + by)));
  }

  /** @param {number} index */
  chooseIndex(index) {
    if (this.objects[index]) this.choose(this.objects[index].number);
  }

  async addObject() {
    const number = await this.send('add_object');
    if (number) this.choose(number);
  }

  async deleteObject() {
    const item = this.objects.find((one) => one.number === this.chosen);
    if (!item) return;
    await this.send('delete_object');
    this.say(`${item.name} is deleted; Ctrl+Z brings it back`);
  }

  /** @param {number} number @param {object} changes */
  change(number, changes) {
    return this.send('change_object', { object: number, changes });
  }

  /** @param {'hidden' | 'locked'} key */
  toggle(key) {
    const item = this.objects.find((one) => one.number === this.chosen);
    if (item) this.change(item.number, { [key]: !item[key] });
  }

  async undo() {
    this.reportStep(await this.send('undo'), 'undone');
  }

  async redo() {
    this.reportStep(await this.send('redo'), 'done again');
  }

  /** @param {{title: string, frame: number | null} | undefined | null} step @param {string} what */
  reportStep(step, what) {
    if (!step) return;
    this.say(`${step.title}: ${what}`);
    if (step.title === 'tracking') this.review.refresh();
    else if (step.frame !== null) this.playback.seek(step.frame);
  }

  escape() {
    if (this.toolbox.begun) this.toolbox.cancel();
    else if (this.tracking.job) this.send('stop');
  }

  toggleFill() {
    this.viewer.setLook({ fill: !this.viewer.look.fill });
    element('fill').checked = this.viewer.look.fill;
  }
}

// for tests and the curious
/** @type {any} */ (window).app = new App();
