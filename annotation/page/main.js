// @ts-check
/** The page: what the person does becomes calls to the server, what changes there is shown. */

import { Connection } from './connection.js';
import { Frames } from './frames.js';
import { bindings, fillHelp, listen } from './keys.js';
import { watchPointers } from './pointers.js';
import { make, showChecks, showObjects } from './panels.js';
import { Timeline } from './timeline.js';
import { TOOLS, Toolbox } from './tools.js';
import { Viewer } from './viewer.js';
import { Exporter, openMerge } from './dialogs.js';

/** @typedef {import('./panels.js').Item} Item */

/**
 * @param {string} id
 * @returns {any}
 */
const element = (id) => document.getElementById(id);

class App {
  constructor() {
    // the token has become a cookie; it shall not stay in the address
    history.replaceState(null, '', location.pathname);
    this.count = 1;
    this.rate = 25;
    this.frame = 0;
    this.chosen = 0;
    /** @type {Item[]} */
    this.objects = [];
    /** @type {{frame: number, number: number, sentence: string, severity: number}[]} */
    this.checks = [];
    this.check = -1;
    this.wanted = 0;
    this.showing = false;
    this.playing = false;
    this.watching = false;
    /** @type {any} */
    this.job = null;
    this.frames = new Frames();
    this.viewer = new Viewer(element('view'));
    this.timeline = new Timeline(element('strips'), element('preview'), (frame) => this.seek(frame));
    this.toolbox = new Toolbox(this.viewer, {
      send: (action, values) => this.send(action, values),
      colour: () => this.objects.find((item) => item.number === this.chosen)?.colour || '#ff4b4b',
      changed: () => this.showTools(),
      say: (text) => this.say(text),
    });
    this.exporter = new Exporter(this);
    this.wire();
    this.connection = new Connection((event) => this.take(event), (connected) => this.connected(connected));
  }

  /** @param {boolean} connected */
  async connected(connected) {
    if (!connected) {
      this.say('The connection was lost. Is the program still running? Trying again…', true);
      return;
    }
    const state = await this.connection.call('describe');
    this.count = state.frames;
    this.rate = state.rate;
    const first = this.viewer.size.width === 1;
    this.viewer.size = { width: state.size[1], height: state.size[0] };
    if (first) this.viewer.fit();
    this.timeline.count = state.frames;
    this.watchStream(state.live);
    element('name').textContent = document.title = state.name;
    element('frame').max = element('first').max = element('last').max = String(state.frames - 1);
    this.timeline.setStrips(state.strips);
    this.setObjects(state.objects);
    this.setHistory(state.history);
    this.exporter.setNames(state.outputs);
    this.setJob(state.job);
    this.say('');
    await this.seek(this.frame);
    this.refreshChecks();
    document.body.dataset.ready = 'yes';
  }

  /** @param {any} event */
  take(event) {
    if (event.event === 'frame') {
      this.timeline.setCodes(event.frame, event.codes);
      if (event.frame === this.frame) this.refresh();
    } else if (event.event === 'objects') {
      this.setObjects(event.objects);
      this.refresh();
    } else if (event.event === 'frames') {
      this.count = this.timeline.count = event.count;
      element('frame').max = String(event.count - 1);
    } else if (event.event === 'history') {
      this.setHistory(event.titles);
    } else if (event.event === 'job') {
      this.setJob(event);
    } else if (event.event === 'export') {
      this.exporter.progress(event);
    }
  }

  /** @param {any} job */
  setJob(job) {
    const alive = job && ['starting', 'running', 'paused'].includes(job.status);
    element('job').hidden = !alive;
    for (const id of ['forward', 'backward', 'both', 'golive']) element(id).disabled = alive;
    if (alive) {
      if (job.total) element('progress').value = job.done / job.total;
      else element('progress').removeAttribute('value');
      const left = job.remaining === null ? '' : `, ${Math.ceil(job.remaining)} s left`;
      const speed = job.speed ? `, ${job.speed.toFixed(1)} frames/s${left}` : '';
      element('job-text').textContent = job.status === 'starting' ? 'loading the model…' : `${job.status} · ${job.done}${job.total ? ` of ${job.total}` : ' frames'}${speed}`;
      element('pause').textContent = job.status === 'paused' ? 'Go on' : 'Pause';
      if (element('follow').checked && job.status === 'running' && job.done) this.seek(job.frame);
    } else if (this.job && job) {
      this.say(job.problem || `Tracking: ${job.done} frames, ${job.status}`, Boolean(job.problem));
      this.refreshChecks();
    }
    this.job = alive ? job : null;
    document.body.dataset.job = alive ? job.status : 'none';
  }

  async refreshChecks() {
    this.timeline.setStrips(await this.connection.call('strips'));
    this.checks = await this.connection.call('review');
    this.check = -1;
    this.timeline.checks = this.checks.slice(0, 50).map((check) => check.frame);
    this.timeline.draw();
    showChecks(element('review'), this.checks, this);
    element('next').textContent = `Next frame to check (${this.checks.length})`;
    this.setObjects(this.objects);
  }

  /** @param {Item[]} objects */
  setObjects(objects) {
    this.objects = objects;
    if (!objects.some((item) => item.number === this.chosen)) this.chosen = objects.length ? objects[objects.length - 1].number : 0;
    this.timeline.objects = objects;
    this.viewer.chosen = this.chosen;
    this.viewer.colours = new Map(objects.filter((item) => !item.hidden).map((item) => {
      const value = parseInt(item.colour.slice(1), 16);
      return [item.number, [value >> 16, (value >> 8) & 255, value & 255]];
    }));
    showObjects(element('objects'), objects, this);
    element('empty').hidden = objects.length > 0;
    for (const id of ['delete', 'holes', 'absent']) element(id).disabled = !objects.length;
    element('merge').disabled = objects.length < 2;
    this.viewer.paintMask();
    this.timeline.draw();
  }

  /** @param {(string | null)[]} titles */
  setHistory(titles) {
    for (const [index, id] of ['undo', 'redo'].entries()) {
      element(id).disabled = !titles[index];
      element(id).title = titles[index] || '';
    }
  }

  /**
   * Show a frame; of several requests in a row, the last.
   * @param {number} frame
   */
  async seek(frame) {
    this.wanted = Math.min(this.count - 1, Math.max(0, Math.round(frame) || 0));
    if (this.wanted !== this.frame) this.toolbox.cancel();
    if (this.showing) return;
    this.showing = true;
    try {
      let shown = -1;
      while (shown !== this.wanted) {
        shown = this.wanted;
        const [picture, labels] = await Promise.all([this.frames.picture(shown), this.frames.labels(shown)]);
        this.frame = shown;
        this.viewer.picture = picture;
        this.viewer.labels = labels;
        this.viewer.paintMask();
        this.showFrameNumber();
      }
    } catch (error) {
      this.say(String(error), true);
    } finally {
      this.showing = false;
    }
  }

  showFrameNumber() {
    if (document.activeElement !== element('frame')) element('frame').value = String(this.frame);
    const seconds = this.frame / this.rate;
    element('time').textContent = `of ${this.count - 1} · ${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, '0')}`;
    this.timeline.frame = this.frame;
    this.timeline.draw();
    document.body.dataset.frame = String(this.frame);
  }

  /** Fetch the masks of this frame again. */
  async refresh() {
    const { frame } = this;
    try {
      const labels = await this.frames.labels(frame);
      if (frame !== this.frame) return;
      this.viewer.labels = labels;
      this.viewer.paintMask();
    } catch (error) {
      this.say(String(error), true);
    }
  }

  /**
   * Do something with the chosen object on this frame; an object is made where there is none yet.
   * @param {string} action
   * @param {object} [values]
   */
  async send(action, values = {}) {
    const { frame } = this;
    try {
      const drawing = ['paint', 'outline', 'suggest'].includes(action);
      if (drawing && !this.chosen) this.chosen = await this.connection.call('add_object');
      const result = await this.connection.call(action, { frame, object: this.chosen, ...values });
      await this.refresh();
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
    this.toolbox.cancel();
    this.reportStep(await this.send('undo'), 'undone');
  }

  async redo() {
    this.reportStep(await this.send('redo'), 'done again');
  }

  /** @param {{title: string, frame: number | null} | undefined | null} step @param {string} what */
  reportStep(step, what) {
    if (!step) return;
    this.say(`${step.title}: ${what}`);
    if (step.title === 'tracking') this.refreshChecks();
    else if (step.frame !== null) this.seek(step.frame);
  }

  /** @param {string} direction */
  async track(direction) {
    /** @type {any} */
    const values = { direction };
    if (element('first').value) values.first = Number(element('first').value);
    if (element('last').value) values.last = Number(element('last').value);
    if (element('only').checked) values.objects = [this.chosen];
    if (this.playing) this.play();
    const report = await this.send('track', values);
    if (report) this.say('');
  }

  async takeFrame() {
    const frame = await this.send('take_frame');
    if (frame !== undefined) await this.seek(frame);
  }

  async goLive() {
    if (await this.send('go_live')) this.say('');
  }

  /** Show what a camera sees now. @param {boolean} live */
  watchStream(live) {
    element('live').hidden = !live;
    if (!live || this.watching) return;
    this.watching = true;
    const image = element('newest');
    const again = () => setTimeout(() => { image.src = `newest?${Date.now()}`; }, 200);
    image.onload = again;
    image.onerror = () => setTimeout(again, 2000);
    again();
  }

  pause() {
    if (this.job) this.send(this.job.status === 'paused' ? 'resume' : 'pause');
  }

  escape() {
    if (this.toolbox.begun) this.toolbox.cancel();
    else if (this.job) this.send('stop');
  }

  /** @param {number} by */
  step(by) {
    return this.seek(this.wanted + by);
  }

  async play() {
    this.playing = !this.playing;
    element('play').textContent = this.playing ? '❚❚' : '▶';
    element('play').setAttribute('aria-label', this.playing ? 'Stop' : 'Play');
    if (this.wanted >= this.count - 1) await this.seek(0);
    let due = performance.now();
    while (this.playing && this.wanted < this.count - 1) {
      await this.seek(this.wanted + 1);
      for (let ahead = 1; ahead < 6 && this.wanted + ahead < this.count; ahead += 1) this.frames.picture(this.wanted + ahead).catch(() => {});
      due = Math.max(performance.now() - 500, due + 1000 / this.rate);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - performance.now())); });
    }
    if (this.playing) await this.play();
  }

  nextCheck() {
    if (!this.checks.length) {
      this.say('Nothing to check: track first, or all is well.');
      return;
    }
    this.check = (this.check + 1) % this.checks.length;
    this.goTo(this.checks[this.check]);
  }

  /** @param {{frame: number, number: number, sentence: string}} check */
  goTo(check) {
    this.check = this.checks.findIndex((one) => one === check);
    this.choose(check.number);
    const item = this.objects.find((one) => one.number === check.number);
    this.say(`Frame ${check.frame}: ${item ? item.name : check.number} ${check.sentence}. Correct it and track on, or go to the next.`);
    return this.seek(check.frame);
  }

  /** @param {KeyboardEvent} event */
  moveCursor(event) {
    const { viewer, toolbox } = this;
    const middle = { x: viewer.size.width / 2, y: viewer.size.height / 2 };
    const point = viewer.cursor ? viewer.cursor.point : middle;
    const by = event.shiftKey ? 1 : 8;
    const [dx, dy] = { W: [0, -1], A: [-1, 0], S: [0, 1], D: [1, 0] }[event.key.toUpperCase()] || [0, 0];
    const next = {
      x: Math.min(viewer.size.width, Math.max(0, point.x + dx * by)),
      y: Math.min(viewer.size.height, Math.max(0, point.y + dy * by)),
    };
    viewer.cursor = { point: next, radius: toolbox.cursorRadius() };
    toolbox.move(next);
    viewer.draw();
    this.say(`cursor at ${Math.round(next.x)}, ${Math.round(next.y)}`);
  }

  /** @param {KeyboardEvent} event */
  pressCursor(event) {
    const cursor = this.viewer.cursor;
    if (!cursor) this.moveCursor(event);
    else if (this.toolbox.down) this.toolbox.release();
    else this.toolbox.press(cursor.point, { shift: event.shiftKey, right: false });
  }

  toggleFill() {
    this.viewer.look.fill = !this.viewer.look.fill;
    element('fill').checked = this.viewer.look.fill;
    this.viewer.paintMask();
  }

  openHelp() { element('help-dialog').showModal(); }

  openExport() { this.exporter.open(); }

  showTools() {
    for (const button of document.querySelectorAll('#tools button')) {
      button.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (button).dataset.tool === this.toolbox.tool));
    }
    const size = document.querySelector('#tools output');
    if (size) size.textContent = `${this.toolbox.radius.toFixed(this.toolbox.radius < 10 ? 1 : 0)} px`;
  }

  wire() {
    const table = bindings(this);
    listen(table);
    fillHelp(table, element('keys'));
    for (const { name, key, icon, hint } of TOOLS) {
      const button = make('button', { textContent: icon, title: `${hint} (${key})`, onclick: () => this.toolbox.choose(name) });
      button.dataset.tool = name;
      button.append(make('span', { textContent: name }));
      button.setAttribute('aria-keyshortcuts', key);
      element('tools').append(button);
    }
    const size = make('output', {});
    size.setAttribute('aria-label', 'brush size');
    element('tools').append(size);
    this.showTools();
    /** @type {Record<string, () => void>} */
    const clicks = {
      undo: () => this.undo(), redo: () => this.redo(), export: () => this.openExport(), help: () => this.openHelp(),
      add: () => this.addObject(), delete: () => this.deleteObject(), merge: () => openMerge(this),
      holes: () => this.send('fill_holes'), absent: () => this.send('clear'), back: () => this.send('take_back'),
      forward: () => this.track('forward'), backward: () => this.track('backward'), both: () => this.track('both'),
      take: () => this.takeFrame(), golive: () => this.goLive(), pause: () => this.pause(), stop: () => this.send('stop'), next: () => this.nextCheck(), play: () => this.play(),
      previous: () => this.step(-1), following: () => this.step(1),
    };
    for (const [id, run] of Object.entries(clicks)) element(id).onclick = run;
    for (const button of document.querySelectorAll('[data-key]')) {
      const key = /** @type {HTMLElement} */ (button).dataset.key || '';
      button.setAttribute('aria-keyshortcuts', key.replace('Ctrl', 'Control'));
      /** @type {HTMLElement} */ (button).title ||= `${button.getAttribute('aria-label') || button.textContent} (${key})`;
    }
    element('frame').onchange = () => this.seek(Number(element('frame').value));
    element('load').onchange = () => this.load();
    for (const key of ['fill', 'outline']) {
      element(key).onchange = () => { this.viewer.look = { ...this.viewer.look, [key]: element(key).checked }; this.viewer.paintMask(); };
    }
    element('opacity').oninput = () => { this.viewer.look.opacity = Number(element('opacity').value); this.viewer.paintMask(); };
    watchPointers(this.viewer, this.toolbox);
  }

  async load() {
    const [file] = element('load').files;
    element('load').value = '';
    if (!file) return;
    const answer = await fetch(`mask/${this.frame}`, { method: 'POST', body: file });
    if (!answer.ok) this.say(await answer.text(), true);
    else await this.refresh();
  }
}

// for tests and the curious
/** @type {any} */ (window).app = new App();
