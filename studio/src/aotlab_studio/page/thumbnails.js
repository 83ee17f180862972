// @ts-check
/** Thumbnails above the timeline. */

import { make } from './page.js';

/** Width of a thumbnail in CSS pixels, and in pixels of the fetched image. */
const WIDTH = 68;
const FETCHED = 96;

/** Milliseconds without a change before thumbnails are fetched. */
const REST = 300;

export class Thumbnails {
  /**
   * @param {HTMLElement} strip
   * @param {(frame: number) => void} seek
   */
  constructor(strip, seek) {
    this.strip = strip;
    this.seek = seek;
    this.view = '';
    this.timer = 0;
  }

  /**
   * Fetch thumbnails of the frames in view, one after the other.
   * @param {{left: number, width: number, first: number, span: number}} view
   */
  show(view) {
    const key = JSON.stringify(view);
    if (key === this.view || !this.strip.offsetParent) return;
    this.view = key;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(view, key), REST);
  }

  /** @param {{left: number, width: number, first: number, span: number}} view @param {string} key */
  async fetch({ left, width, first, span }, key) {
    const count = Math.max(1, Math.min(Math.floor(span), Math.floor(width / WIDTH)));
    this.strip.style.marginLeft = `${left}px`;
    const frames = Array.from({ length: count }, (_, index) => Math.floor(first + ((index + 0.5) * span) / count));
    const images = frames.map((frame) => make('img', { alt: '', title: `frame ${frame}`, onclick: () => this.seek(frame) }));
    this.strip.replaceChildren(...images);
    for (const [index, image] of images.entries()) {
      if (key !== this.view) return;
      await new Promise((resolve) => {
        image.onload = image.onerror = resolve;
        image.src = `frame/${frames[index]}?width=${FETCHED}`;
      });
    }
  }
}
