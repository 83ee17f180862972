// @ts-check
/** Preview: outlines of the mask that a click at the pointer would make. */

import { pairs } from './connection.js';
import { areas } from './labels.js';

/** @typedef {import('./viewer.js').Point} Point */

export class Hover {
  /** @param {import('./toolbox.js').Toolbox} toolbox */
  constructor(toolbox) {
    this.toolbox = toolbox;
    /** @type {Point | null} */
    this.wanted = null;
    this.asking = false;
  }

  /** Whether a click would make a mask; only then is there a preview. */
  get useful() {
    const { tool, down, minus, app, viewer } = this.toolbox;
    if (tool.name !== 'click' || down || minus || app.tracking.job || !app.playback.ready) return false;
    return !areas(viewer.labels, app.chosen).all; // last, because it reads every pixel
  }

  /** @param {Point} point */
  move(point) {
    const { width, height } = this.toolbox.viewer.size;
    const inside = point.x >= 0 && point.y >= 0 && point.x < width && point.y < height;
    if (!inside || !this.useful) {
      this.clear();
      return;
    }
    this.wanted = point;
    if (!this.asking) this.ask();
  }

  clear() {
    this.wanted = null;
    this.toolbox.viewer.preview = [];
  }

  /** One request at a time, each for the newest place. */
  async ask() {
    const { app, viewer } = this.toolbox;
    this.asking = true;
    while (this.wanted) {
      const [point, { frame }] = [this.wanted, app.playback];
      this.wanted = null;
      try {
        const outlines = await app.connection.call('preview', { frame, positive: pairs([point]) });
        viewer.preview = this.useful && app.playback.frame === frame ? outlines : [];
      } catch {
        viewer.preview = []; // a click will say what is wrong
      }
      viewer.draw();
    }
    this.asking = false;
  }
}
