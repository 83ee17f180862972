// @ts-check
/** Small images of frames with their masks: a strip above the timeline, and the frames to check. */

import { createElement, element } from './dom.js';

/** @typedef {import('./timeline.js').Row} Row */

/** Width of a thumbnail in CSS pixels, and in pixels of the fetched image. */
const THUMBNAIL_WIDTH = 68;
const THUMBNAIL_PIXELS = 96;

/** Milliseconds without a change before thumbnails are fetched. */
const THUMBNAIL_DELAY = 300;

/**
 * Return a small image of a frame with its masks, drawn when `load` is called.
 * @param {import('./frames.js').FrameCache} frames
 * @param {number} frame
 * @param {Row[]} objects those that are drawn
 */
export function makeThumbnail(frames, frame, objects) {
  const canvas = createElement('canvas', {});
  const box = createElement('span', { className: 'thumbnail' }, canvas);
  const load = async () => {
    try {
      const [image, labels] = await Promise.all([frames.thumbnail(frame, THUMBNAIL_PIXELS), frames.labels(frame)]);
      drawThumbnail(canvas, image, labels, objects);
      image.close();
    } catch {
      // the frame itself will say what is wrong
    }
  };
  return { box, frame, load };
}

/** @param {HTMLCanvasElement} canvas @param {ImageBitmap} image @param {import('./frames.js').Labels} labels @param {Row[]} objects */
function drawThumbnail(canvas, image, labels, objects) {
  const { width, height } = image;
  Object.assign(canvas, { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.drawImage(image, 0, 0);
  context.globalAlpha = 0.6;
  const colors = new Map(objects.map(({ id, color }) => [id, color]));
  for (let y = 0; y < height; y += 1) {
    const row = Math.floor(((y + 0.5) * labels.height) / height) * labels.width;
    for (let x = 0; x < width; x += 1) {
      const color = colors.get(labels.ids[row + Math.floor(((x + 0.5) * labels.width) / width)]);
      if (!color) continue;
      context.fillStyle = color;
      context.fillRect(x, y, 1, 1);
    }
  }
}

export class Thumbnails {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    this.strip = element('thumbnails');
    this.view = '';
    this.timer = 0;
    /** @type {Row[]} */
    this.objects = [];
    /** @type {{frame: number, load: () => Promise<void>}[]} */
    this.shown = [];
  }

  /** Draw the masks again if objects changed. @param {Row[]} objects */
  setObjects(objects) {
    const same = JSON.stringify(objects) === JSON.stringify(this.objects);
    this.objects = objects;
    if (!same) this.view = '';
  }

  /** Draw the masks of a frame again. @param {number} frame */
  refresh(frame) {
    this.shown.find((one) => one.frame === frame)?.load();
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
    this.timer = setTimeout(() => this.fetch(view, key), THUMBNAIL_DELAY);
  }

  /** @param {{left: number, width: number, first: number, span: number}} view @param {string} key */
  async fetch({ left, width, first, span }, key) {
    const count = Math.max(1, Math.min(Math.floor(span), Math.floor(width / THUMBNAIL_WIDTH)));
    this.strip.style.marginLeft = `${left}px`;
    const frames = Array.from({ length: count }, (_, index) => Math.floor(first + ((index + 0.5) * span) / count));
    const shown = frames.map((frame) => {
      const thumbnail = makeThumbnail(this.app.frames, frame, this.objects);
      thumbnail.box.append(createElement('span', { textContent: String(frame) }));
      Object.assign(thumbnail.box, { title: `frame ${frame}`, onclick: () => this.app.playback.seek(frame) });
      return thumbnail;
    });
    this.strip.replaceChildren(...shown.map(({ box }) => box));
    this.shown = shown;
    for (const { load } of shown) {
      if (key !== this.view) return;
      await load();
    }
  }
}
