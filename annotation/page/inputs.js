// @ts-check
/** Keys and buttons in their order; those that act on a frame wait until the frame asked for shows. */

export class Inputs {
  /** @param {() => boolean} ready whether the frame asked for shows */
  constructor(ready) {
    this.ready = ready;
    /** @type {{run: () => void, acts: boolean}[]} */
    this.queue = [];
  }

  /**
   * Run now, or after the inputs before it.
   * @param {() => void} run
   * @param {boolean} acts whether it changes something on the frame that shows
   */
  add(run, acts) {
    this.queue.push({ run, acts });
    this.drain();
  }

  /** Run what waits, up to the first input whose frame does not show yet. */
  drain() {
    while (this.queue.length && (!this.queue[0].acts || this.ready())) this.queue.shift()?.run();
  }

  /** Forget what waits. */
  clear() {
    this.queue = [];
  }
}
