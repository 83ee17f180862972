/** Worker that loads a model and runs its tracker, so that the page never waits for it. */

import { unzipSync } from 'fflate';
import { segmentPrompt } from '../tracker/prompts.js';
import { Graphs, Tracker } from '../tracker/tracker.js';
import { describeCount, describeError } from './words.js';

const MAX_THREADS = 8;

/** @type {Tracker} */
let tracker;

/** @typedef {{stage: 'download' | 'prepare', done: number, total: number}} Progress */

const methods = {
  /**
   * Load a model; return the backend's name.
   * @param {string} folder address of the page
   * @param {string} size name of the model's export
   * @param {boolean} gpu use WebGPU
   */
  async load(folder, size, gpu) {
    const runtime = /** @type {import('../tracker/tracker.js').Runtime} */ (
      await (gpu ? import('onnxruntime-web/jspi') : import('onnxruntime-web/wasm'))
    );
    const name = gpu ? 'ort-wasm-simd-threaded.jspi' : 'ort-wasm-simd-threaded';
    const [binary, files] = await downloadZips([`${folder}runtime/${name}.zip`, `${folder}models/${size}.zip`]);
    const threads = self.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
    Object.assign(runtime.env.wasm, {
      wasmBinary: binary[`${name}.wasm`].buffer, wasmPaths: { mjs: `${folder}runtime/${name}.mjs` }, numThreads: threads,
    });
    const graphs = await Graphs.load(runtime, files, gpu ? ['webgpu', 'wasm'] : ['wasm'], (done) => report('prepare', done, 1));
    tracker = new Tracker(graphs);
    return `${gpu ? 'WebGPU' : 'WASM'}, ${describeCount(threads, 'thread')}`;
  },

  /**
   * @param {ImageData} image
   * @param {import('../tracker/prompts.js').Prompt} prompt
   * @param {Uint8Array} otherObjects
   */
  segment(image, prompt, otherObjects) {
    return segmentPrompt(tracker.graphs, makeFrame(image), prompt, otherObjects);
  },

  /** @param {ImageData} image @param {Uint8Array} labels */
  start(image, labels) {
    return tracker.start(makeFrame(image), labels);
  },

  /** @param {ImageData} image */
  step(image) {
    return tracker.step(makeFrame(image));
  },
};

/** Drop the alpha channel. @param {ImageData} image @returns {import('../tracker/tracker.js').Frame} */
function makeFrame({ data, height, width }) {
  const pixels = new Uint8Array(3 * height * width);
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    pixels[3 * pixel] = data[4 * pixel];
    pixels[3 * pixel + 1] = data[4 * pixel + 1];
    pixels[3 * pixel + 2] = data[4 * pixel + 2];
  }
  return { data: pixels, height, width };
}

/**
 * Download zip files; return the content of each by file name.
 * @param {string[]} addresses
 * @returns {Promise<Record<string, Uint8Array<ArrayBuffer>>[]>}
 */
async function downloadZips(addresses) {
  const responses = await Promise.all(addresses.map((address) => fetch(address)));
  const failed = responses.find((response) => !response.ok);
  if (failed) throw new Error(`${failed.url}: ${failed.status} ${failed.statusText}`);
  const total = responses.reduce((sum, response) => sum + Number(response.headers.get('Content-Length')), 0);
  let done = 0;
  return Promise.all(responses.map(async (response) => {
    /** @type {Uint8Array<ArrayBuffer>[]} */
    const parts = [];
    const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      done += part.value.length;
      report('download', done, total);
    }
    return unzipSync(new Uint8Array(await new Blob(parts).arrayBuffer()));
  }));
}

/** @param {Progress['stage']} stage @param {number} done @param {number} total */
function report(stage, done, total) {
  postMessage({ progress: { stage, done, total } });
}

let queue = Promise.resolve();

/** Calls run one after the other, in the order in which they came. */
addEventListener('message', ({ data: { id, method, args } }) => {
  queue = queue.then(async () => {
    try {
      postMessage({ id, result: await /** @type {any} */ (methods)[method](...args) });
    } catch (error) {
      postMessage({ id, error: describeError(error) });
    }
  });
});
