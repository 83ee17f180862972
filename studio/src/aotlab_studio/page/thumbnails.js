/** Strip of small images of frames with their masks above the timeline. */

import { CoalescedTask, createElement, element } from './dom.js';
import { RowList } from './fields.js';

const THUMBNAIL_WIDTH = 68; // width of a thumbnail in CSS pixels
const THUMBNAIL_DELAY = 300; // milliseconds between a change and the requests for thumbnails

export class Thumbnails {
  constructor(/** @type {import('./main.js').App} */ app) {
    this.app = app;
    this.strip = element('thumbnails');
    this.frames = /** @type {number[]} */ ([]); // frames of the thumbnails in view
    this.list = new RowList(this.strip, (frame) => frame, (/** @type {number} */ frame) => {
      const values = { className: 'thumbnail', title: `frame ${frame}`, onclick: () => app.playback.seek(frame) };
      const number = createElement('span', {}, String(frame));
      return { line: createElement('span', values, createElement('img', { alt: '' }), number), show: () => {} };
    });
    this.loadTask = new CoalescedTask(() => this.load());
  }

  /** Show thumbnails of the view, soon. @param {{left: number, width: number, first: number, span: number}} view */
  show({ left, width, first, span }) {
    if (!this.strip.offsetParent) return;
    this.strip.style.marginLeft = `${left}px`;
    const count = Math.max(1, Math.min(Math.floor(span), Math.floor(width / THUMBNAIL_WIDTH)));
    this.frames = Array.from({ length: count }, (_, index) => Math.floor(first + ((index + 0.5) * span) / count));
    this.loadTask.run();
  }

  /** Request the thumbnails that changed, one after the other. */
  async load() {
    await new Promise((resolve) => { setTimeout(resolve, THUMBNAIL_DELAY); });
    const { frames, app } = this;
    this.list.show(frames);
    for (const [index, image] of this.strip.querySelectorAll('img').entries()) {
      const address = app.frames.getThumbnailAddress(frames[index]);
      if (image.getAttribute('src') === address) continue;
      image.src = address;
      await image.decode().catch(() => {}); // the frame itself will say what is wrong
    }
  }
}
