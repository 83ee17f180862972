/** Downloads of masks, the video with overlay, and mattes. */

import { zipSync } from 'fflate';
import { runActivity } from './activities.js';
import { LabelStore, cutOut, drawOverlay, encodePng } from './labels.js';
import { state } from './state.js';
import { encodeWebm } from './video.js';
import { showStatus, update } from './view.js';
import { describeCount } from './words.js';

/** @typedef {import('./video.js').Video} Video */

/** @param {Blob} blob @param {string} suffix */
function download(blob, suffix) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${state.video?.name.replace(/\.[^.]*$/, '')}_${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export async function saveMasks() {
  const { store, video } = /** @type {typeof state & {video: Video}} */ (state);
  await runActivity('export', async (signal) => {
    /** @type {Record<string, [Uint8Array, {level: 0}]>} */
    const files = {};
    for (const index of [...store.frames.keys()].sort((first, second) => first - second)) {
      const png = encodePng(/** @type {Uint8Array} */ (store.get(index)), video.width, video.content, video.size);
      files[`${String(index).padStart(5, '0')}.png`] = [png, { level: 0 }];
      showStatus(`Writing masks: ${Object.keys(files).length} of ${store.frames.size}`);
      await new Promise((resolve) => setTimeout(resolve));
      signal.throwIfAborted();
    }
    download(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (zipSync(files))], { type: 'application/zip' }), 'masks.zip');
    update({ downloaded: new LabelStore(store.frames) });
    return `${describeCount(Object.keys(files).length, 'mask')} saved`;
  });
}

/** Save the video with the colors of the objects over it. */
export function saveOverlay() {
  return saveVideo('overlay', drawOverlay, 'discard');
}

/** Save the objects over a transparent background. */
export function saveMatte() {
  return saveVideo('matte', cutOut, 'keep');
}

/**
 * Save the frames from the first to the last with a mask as a WebM video.
 * @param {string} name
 * @param {(image: ImageData, labels: Uint8Array | null) => ImageData} draw
 * @param {'keep' | 'discard'} alpha
 */
async function saveVideo(name, draw, alpha) {
  const { store, video } = /** @type {typeof state & {video: Video}} */ (state);
  await runActivity('export', async (signal) => {
    const indices = [...store.frames.keys()];
    const [first, last] = [Math.min(...indices), Math.max(...indices)];
    async function* frames() {
      let index = first;
      for await (const frame of video.read(first, last + 1)) {
        signal.throwIfAborted();
        showStatus(`Encoding frame ${index - first + 1} of ${last - first + 1}`);
        yield draw(frame, store.get(index));
        index += 1;
      }
    }
    const blob = await encodeWebm(video, frames(), first, alpha);
    signal.throwIfAborted();
    download(blob, `${name}.webm`);
    return `Saved as ${name}.webm: ${describeCount(last - first + 1, 'frame')}`;
  });
}
