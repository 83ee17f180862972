// @ts-check
/** Edits on their way to the server: in order, sent again until acknowledged, also when the page closes. */

/** @typedef {import('./protocol.js').Actions} Actions */
/** The selected object; 0: the first drawing makes it, and those until its answer share it. @typedef {{id: number}} Selection */
/** Edits of a mask. @typedef {'paint' | 'outline' | 'fill_holes' | 'clear' | 'split_object' | 'reassign'} MaskEdit */
/**
 * Actions that the server stores once, however often their messages arrive.
 * @typedef {MaskEdit | 'remove_keyframe' | 'add_object' | 'change_object' | 'delete_object' | 'merge_objects' | 'set_note' | 'set_range' | 'set_status'} Repeatable
 */

/** Return a message with its object. @param {object & {object_id?: number | null}} message @param {Selection} [target] */
const fill = (message, target) => (
  'object_id' in message ? { ...message, object_id: message.object_id || target?.id || null } : message);

export class EditQueue {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Ends with the answer to the last drawing, which may make the object of the next one. @type {Promise<unknown>} */
    this.last = Promise.resolve();
    this.runningCount = 0;
    /** Messages that are not acknowledged, by id. @type {Map<number, {action: Repeatable, message: object, target?: Selection}>} */
    this.messages = new Map();
  }

  /** Whether something was drawn or typed that the server has not acknowledged. */
  get unsent() {
    return this.runningCount + this.messages.size > 0;
  }

  /**
   * Run after the answers to what was drawn before.
   * @template T
   * @param {() => Promise<T>} task uses `App.request`, as `App.send` waits for it
   * @returns {Promise<T>}
   */
  run(task) {
    this.runningCount += 1;
    const done = this.last.then(task).finally(() => { this.runningCount -= 1; });
    this.last = done.then(() => {}, (error) => this.app.showError(error));
    return done;
  }

  /**
   * Keep a message, so that it is sent if the page closes; return the function that sends it now.
   * @template {Repeatable} A
   * @param {A} action
   * @param {Actions[A]['message']} message
   * @param {Selection} [target] object of a message without one, which its answer may make
   */
  keep(action, message, target) {
    const id = this.app.connection.makeId();
    this.messages.set(id, { action, message, target });
    return async () => {
      const filled = /** @type {any} */ (fill(message, target));
      const answer = await this.app.request(action, filled, id);
      this.messages.delete(id);
      if (answer && target && !filled.object_id) {
        const { result } = answer;
        target.id = typeof result === 'object' && result ? result.object_id : Number(result);
        this.app.setObjects(this.app.objects);
      }
      return answer;
    };
  }

  /** As `keep`, and send it after those before. @template {Repeatable} A @param {A} action @param {Actions[A]['message']} message @param {Selection} [target] */
  push(action, message, target) {
    return this.run(this.keep(action, message, target));
  }

  /** Send all unacknowledged messages, as the page closes; an object that is still to be made is the same as for the drawing before. */
  flush() {
    const messages = [...this.messages].map(([id, { action, message, target }]) => ({ ...fill(message, target), id, do: action }));
    if (messages.length) this.app.connection.sendEdits(messages);
  }
}
