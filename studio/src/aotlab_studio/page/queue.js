/** Edits on their way to the server.

 `EditQueue.push` stores an edit once, also if the connection is lost or the page closes. `EditQueue.request` sends any
 other action after the earlier edits; later edits do not wait for it. `App.request` sends at once. */

import { answerError } from './dom.js';

/** @typedef {import('./protocol.js').Actions} Actions */
/**
 * Object that edits go to; `id` is 0 until the server has created it, and after it was removed. Edits share the record.
 * @typedef {{id: number}} Target
 */
/** Edits of a mask. @typedef {'paint' | 'outline' | 'fill_holes' | 'clear' | 'split_object' | 'reassign'} MaskEdit */
/**
 * Actions that the server stores once, however often their messages arrive.
 * @typedef {MaskEdit | 'remove_keyframe' | 'add_object' | 'change_object' | 'delete_object' | 'merge_objects'
 *   | 'set_note' | 'set_range' | 'set_status'} Repeatable
 */

/** Actions that make a new object if their target has none. @type {Repeatable[]} */
const CREATING_ACTIONS = ['paint', 'outline', 'add_object'];
/** Largest body in bytes that a browser sends after the page has closed. */
const MAX_KEEPALIVE = 60000;

/** Return a message with its object. @param {object & {object_id?: number | null}} message @param {Target} [target] */
const addObjectId = (message, target) => (
  'object_id' in message ? { ...message, object_id: message.object_id || target?.id || null } : message);

export class EditQueue {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Resolves after the edits and undos so far, which may create or select an object. @type {Promise<unknown>} */
    this.previousEdits = Promise.resolve();
    /** Unacknowledged messages by id. @type {Map<number, {action: Repeatable, message: object, target?: Target}>} */
    this.messages = new Map();
  }

  /**
   * Run after the answers to the earlier edits, and before the later ones.
   * @template T
   * @param {() => Promise<T>} task uses `App.request`, as `request` would wait for it
   * @returns {Promise<T>}
   */
  enqueue(task) {
    const answer = this.previousEdits.then(task);
    this.previousEdits = answer.catch(() => {}); // the caller handles it
    return answer;
  }

  /**
   * Store a message, so that it is sent if the page closes; return the function that sends it now.
   * @template {Repeatable} A
   * @param {A} action
   * @param {Actions[A]['message']} message
   * @param {Target} [target] object of a message without one, which the server may create
   */
  store(action, message, target) {
    const id = this.app.connection.createId();
    this.messages.set(id, { action, message, target });
    return async () => {
      const fullMessage = /** @type {any} */ (addObjectId(message, target));
      const lacksObject = target && !target.id && !CREATING_ACTIONS.includes(action);
      const answer = lacksObject
        ? answerError(new Error('Select an object first.')) : await this.app.request(action, fullMessage, id);
      this.messages.delete(id);
      if (!answer.error && target && !fullMessage.object_id) {
        target.id = answer.result?.object_id ?? 0;
        this.app.renderObjects();
      }
      return answer;
    };
  }

  /**
   * Store an edit and send it after the earlier ones, which may create its object.
   * @template {Repeatable} A
   * @param {A} action
   * @param {Actions[A]['message']} message
   * @param {Target} [target]
   */
  push(action, message, target) {
    return this.enqueue(this.store(action, message, target));
  }

  /**
   * Send an action after the earlier edits, which may create its object.
   * @template {keyof Actions} A
   * @param {A} action
   * @param {Actions[A]['message']} message
   */
  async request(action, message) {
    await this.previousEdits;
    return this.app.request(action, message);
  }

  /** Send all unacknowledged messages when the page closes. */
  flush() {
    if (!this.messages.size) return;
    const messages = [...this.messages].map(([id, { action, message, target }]) => (
      { ...addObjectId(message, target), id, do: action }));
    const body = JSON.stringify(messages);
    fetch('edits', { method: 'POST', body, keepalive: body.length < MAX_KEEPALIVE }).catch(() => {});
  }
}
