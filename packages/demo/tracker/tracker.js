/**
 * Tracker of exported models, a port of `packages/runtime/src/aotlab_runtime` for one group of objects: at most
 * `max_objects`, all on the first frame.
 */

/** @typedef {import('onnxruntime-common').Tensor} Tensor */
/** @typedef {Record<string, Tensor>} Tensors */
/** @typedef {typeof import('onnxruntime-common')} Runtime */
/** Frame of H×W×3 bytes RGB. @typedef {{data: Uint8Array, height: number, width: number}} Frame */
/** Settings of an export that this port uses, see `packages/runtime/src/aotlab_runtime/memory.py`. */
/** @typedef {{every: number, frames: number, max_tracked: number}} MemorySettings */

/** Version of `export.json`. */
const EXPORT_VERSION = 16;
/** Graphs of the tracker, in the order of a frame. */
const GRAPHS = ['encode', 'assign_identities', 'reference', 'propagate', 'decode', 'memorize', 'prompt'];

/** An exported model: one session of onnxruntime per graph. */
export class Graphs {
  /**
   * @param {Runtime} runtime
   * @param {any} description content of `export.json`
   * @param {Record<string, import('onnxruntime-common').InferenceSession>} sessions by name of the graph
   */
  constructor(runtime, description, sessions) {
    this.runtime = runtime;
    this.sessions = sessions;
    /** @type {number} Number of objects that can be tracked. */
    this.maxObjects = description.max_objects;
    /** @type {number} Side of a token in pixels. */
    this.tokenSize = description.stride;
    /** @type {MemorySettings} */
    this.memorySettings = description.memory;
    /** @type {Record<string, number>} Settings of the segmentation from prompts: sizes, margins, logits. */
    this.promptSettings = description.prompting;
  }

  /**
   * Load an export; throws an error for the user if it is damaged or incomplete.
   * @param {Runtime} runtime onnxruntime-web
   * @param {Record<string, Uint8Array>} files by name
   * @param {string[]} providers names of onnxruntime's execution providers
   * @param {(done: number) => void} [onProgress] called with the fraction of the graphs that are loaded
   */
  static async load(runtime, files, providers, onProgress = () => {}) {
    const names = ['weights.bin', ...GRAPHS.map((name) => `${name}.onnx`)];
    const missing = ['export.json', ...names].find((name) => !files[name]);
    if (missing) throw new Error(`${missing}: not in the model; export it again, with its prompt network`);
    const description = parseDescription(new TextDecoder().decode(files['export.json']));
    for (const name of names) {
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', /** @type {Uint8Array<ArrayBuffer>} */ (files[name])));
      const hexadecimal = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
      if (hexadecimal !== description.sha256?.[name]) throw new Error(`${name}: changed or damaged; export again`);
    }
    const externalData = [{ path: 'weights.bin', data: files['weights.bin'] }];
    /** @type {Graphs['sessions']} */
    const sessions = {};
    for (const [index, name] of GRAPHS.entries()) {
      onProgress(index / GRAPHS.length);
      const options = { executionProviders: providers, externalData, logSeverityLevel: /** @type {const} */ (3) };
      sessions[name] = await runtime.InferenceSession.create(files[`${name}.onnx`], options).catch((error) => {
        const [reason] = String(error.message ?? error).split('\n');
        throw new Error(`${name}.onnx: onnxruntime cannot load it (${reason}); export again`);
      });
    }
    return new Graphs(runtime, description, sessions);
  }

  /**
   * Run a graph and return its outputs; its inputs are taken from `tensors` by name.
   * @param {string} name
   * @param {Tensors} tensors
   * @returns {Promise<Tensors>}
   */
  async run(name, tensors) {
    const session = this.sessions[name];
    const results = await session.run(Object.fromEntries(session.inputNames.map((input) => [input, tensors[input]])));
    return /** @type {Tensors} */ (results);
  }

  /** @param {Uint8Array | Int32Array | Float32Array} data @param {number[]} shape @returns {Tensor} */
  tensor(data, shape) {
    const type = data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'uint8';
    return new this.runtime.Tensor(type, data, shape);
  }

  /** @param {Frame} frame @returns {Tensor} */
  frameTensor({ data, height, width }) {
    return this.tensor(data, [height, width, 3]);
  }
}

/**
 * Return the content of `export.json`; throws an error for the user if the page cannot run its model.
 * @param {string} text
 */
function parseDescription(text) {
  let description = null;
  try {
    description = JSON.parse(text);
  } catch {
    // not JSON
  }
  if (description?.kind !== 'export') throw new Error('export.json: damaged; export again');
  if (description.version !== EXPORT_VERSION) {
    throw new Error(`export.json: version ${description.version}, expected ${EXPORT_VERSION}; export again`);
  }
  const { memory } = description;
  if (!memory) throw new Error('export.json: damaged; export again');
  if (memory.policy !== 'bounded_fifo' || memory.max_stored !== null || memory.short_term_lag !== 1) {
    throw new Error('memory.policy: the page supports only bounded_fifo, without max_stored, at a short_term_lag of 1; export again');
  }
  return description;
}

/** Tracks objects through a video, frame by frame. */
export class Tracker {
  /** @param {Graphs} graphs */
  constructor(graphs) {
    this.graphs = graphs;
    this.bank = new MemoryBank(graphs);
    /** Ids of the tracked objects by channel from 1 on. @type {number[]} */
    this.ids = [];
  }

  /**
   * Forget the last video and start with the masks of a frame.
   * @param {Frame} frame
   * @param {Uint8Array} labels object ids H×W, 0 is background
   */
  async start(frame, labels) {
    this.bank = new MemoryBank(this.graphs);
    this.ids = [...new Set(labels)].filter(Boolean).sort((first, second) => first - second);
    if (!this.ids.length || this.ids.length > this.graphs.maxObjects) {
      throw new Error(`${this.ids.length} objects: mark 1 to ${this.graphs.maxObjects}`);
    }
    const features = await this.graphs.run('encode', { frame: this.graphs.frameTensor(frame) });
    const idEmbeddings = await this.assignIdentities(labels, frame);
    const reference = await this.graphs.run('reference', { ...features, ...idEmbeddings });
    this.bank.store(await this.graphs.run('memorize', { ...reference, ...idEmbeddings }), true);
  }

  /**
   * Track all objects to the next frame.
   * @param {Frame} frame of the same size as the first
   * @returns {Promise<Uint8Array>} object ids H×W
   */
  async step(frame) {
    const inputs = {
      frame: this.graphs.frameTensor(frame),
      identities: this.graphs.tensor(Int32Array.from(this.ids, (_, index) => index + 1), [this.ids.length]),
    };
    const features = await this.graphs.run('encode', inputs);
    const propagated = await this.graphs.run('propagate', { ...features, ...this.bank.inputs });
    const { logits } = await this.graphs.run('decode', { ...inputs, ...propagated, ...features });
    const labels = this.chooseIds(logits);
    const idEmbeddings = await this.assignIdentities(labels, frame);
    this.bank.add(await this.graphs.run('memorize', { ...propagated, ...idEmbeddings }));
    return labels;
  }

  /** Return the most likely object id of each pixel. @param {Tensor} logits (1+n)×H×W, background first */
  chooseIds({ data, dims: [, height, width] }) {
    const area = height * width;
    const labels = new Uint8Array(area);
    const best = /** @type {Float32Array} */ (data).slice(0, area);
    this.ids.forEach((id, index) => {
      const start = (index + 1) * area;
      for (let pixel = 0; pixel < area; pixel += 1) {
        const logit = /** @type {Float32Array} */ (data)[start + pixel];
        if (logit > best[pixel]) {
          best[pixel] = logit;
          labels[pixel] = id;
        }
      }
    });
    return labels;
  }

  /** Embed the objects of a frame. @param {Uint8Array} labels object ids H×W @param {Frame} frame */
  assignIdentities(labels, { height, width }) {
    const { maxObjects } = this.graphs;
    const ids = Int32Array.from({ length: maxObjects }, (_, index) => this.ids[index] ?? -1);
    return this.graphs.run('assign_identities', {
      labels: this.graphs.tensor(Int32Array.from(labels), [height, width]),
      ids: this.graphs.tensor(ids, [maxObjects]),
    });
  }
}

/**
 * Keys and values of stored frames, of all blocks: `bounded_fifo`.
 *
 * Long-term memory holds the first frame and one frame in `every`, at most `frames`, and evicts the oldest after the
 * first; short-term memory is the frame before. `max_tracked` 0 keeps the first frame only.
 */
class MemoryBank {
  /** @param {Graphs} graphs */
  constructor(graphs) {
    this.graphs = graphs;
    /** Keys and values of the frames in long-term memory, the first frame first. @type {Tensors[]} */
    this.frames = [];
    /** Keys and values of both memories, inputs of `propagate`. @type {Tensors} */
    this.memory = {};
    /** Numbers of tracked frames before each frame in long-term memory. @type {number[]} */
    this.indices = [];
    /** Number of tracked frames. */
    this.trackedFrames = 0;
  }

  /** Inputs of `propagate`, with the ages of the frames in long-term memory. @returns {Tensors} */
  get inputs() {
    const ages = Int32Array.from(this.indices, (index) => this.trackedFrames + 1 - index);
    return { ...this.memory, memory_ages: this.graphs.tensor(ages, [ages.length]) };
  }

  /** Store a tracked frame. @param {Tensors} memory of `memorize` */
  add(memory) {
    this.trackedFrames += 1;
    const { every, frames, max_tracked: maxTracked } = this.graphs.memorySettings;
    const long = this.trackedFrames % every === 0;
    const capacity = Math.min(frames, 1 + maxTracked);
    if (long && this.frames.length >= capacity) {
      this.frames.splice(1, 1);
      this.indices.splice(1, 1);
    }
    this.store(memory, long && capacity > 1);
  }

  /** Store a frame in short-term memory, if `long` also in long-term. @param {Tensors} memory @param {boolean} long */
  store(memory, long) {
    const tensors = Object.entries(memory);
    Object.assign(this.memory, Object.fromEntries(tensors.filter(([name]) => name.includes('_short_'))));
    if (!long) return;
    this.indices.push(this.trackedFrames);
    this.frames.push(Object.fromEntries(tensors.filter(([name]) => name.includes('_long_'))));
    for (const name of Object.keys(this.frames[0])) {
      this.memory[name] = this.concatenate(this.frames.map((frame) => frame[name]));
    }
  }

  /** Join tensors 1×L×C along their tokens. @param {Tensor[]} tensors */
  concatenate(tensors) {
    const [, tokens, dim] = tensors[0].dims;
    const data = new Float32Array(tensors.length * tokens * dim);
    tensors.forEach((tensor, index) => data.set(/** @type {Float32Array} */ (tensor.data), index * tokens * dim));
    return this.graphs.tensor(data, [1, tensors.length * tokens, dim]);
  }
}
