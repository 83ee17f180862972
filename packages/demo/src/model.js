/** A worker with a model. */
export class Model {
  /**
   * @param {string} name name of its export
   * @param {(progress: import('./worker.js').Progress) => void} onProgress
   * @param {() => void} onFailure called when the worker ends by itself
   */
  constructor(name, onProgress, onFailure) {
    this.name = name;
    this.worker = new Worker('worker.js', { type: 'module' });
    /** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
    this.calls = new Map();
    this.count = 0;
    /** Name of the backend; empty until the model is loaded, and after a failure. */
    this.backend = '';
    /** Why the worker has ended. @type {Error | null} */
    this.failure = null;
    this.worker.addEventListener('message', ({ data }) => {
      if (data.progress) {
        onProgress(data.progress);
        return;
      }
      const call = this.calls.get(data.id);
      this.calls.delete(data.id);
      if ('error' in data) call?.reject(new Error(data.error));
      else call?.resolve(data.result);
    });
    this.worker.addEventListener('error', ({ message }) => {
      this.close(new Error(`worker.js: ${message || 'cannot be started'}`));
      onFailure();
    });
  }

  /** Call a method of the worker. @param {string} method @param {any[]} args */
  call(method, ...args) {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.count += 1;
      this.calls.set(this.count, { resolve, reject });
      this.worker.postMessage({ id: this.count, method, args });
    });
  }

  /** End the worker and its calls. @param {Error} error */
  close(error) {
    this.worker.terminate();
    this.backend = '';
    this.failure = error;
    for (const { reject } of this.calls.values()) reject(error);
    this.calls.clear();
  }
}
