// @ts-check
/** Queue of key presses and clicks; those that act on a frame wait until the requested frame is shown. */

export class Inputs {
  /** @param {() => boolean} ready whether the requested frame is shown */
  constructor(ready) {
    this.ready = ready;
    /** @type {{run: () => void, acts: boolean}[]} */
    this.queue = [];
  }

  /**
   * Run now, or after the queued inputs.
   * @param {() => void} run
   * @param {boolean} acts whether it changes the frame that is shown
   */
  add(run, acts) {
    this.queue.push({ run, acts });
    this.drain();
  }

  /** Run the queue up to the first input whose frame is not shown yet. */
  drain() {
    while (this.queue.length && (!this.queue[0].acts || this.ready())) this.queue.shift()?.run();
  }

  /** Clear the queue. */
  clear() {
    this.queue = [];
  }
}
