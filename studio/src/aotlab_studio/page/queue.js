/** Edits on their way to the server, in order. */

import { reportError } from './dom.js';

/** @import { Actions } from './protocol.js' */
/** @import { ActionAnswer, Failed } from './connection.js' */
/**
 * Handle of an object that may not exist yet: id 0 until the first edit has created it. Edits of one object share it.
 * @typedef {{readonly id: number}} ObjectRef
 * @typedef {<A extends keyof Actions>(action: A, message: Actions[A]['message'], target?: ObjectRef, id?: number)
 *   => Promise<ActionAnswer<A> | Failed>} SendAction `id`: of a message that may be sent again
 */

/** Actions that the server stores once, however often their messages arrive. @type {(keyof Actions)[]} */
const REPEATABLE_ACTIONS = [
  'paint', 'outline', 'fill_holes', 'clear', 'split_object', 'reassign', 'remove_keyframe', 'add_object',
  'change_object', 'delete_object', 'merge_objects', 'set_note', 'set_range', 'set_status', 'drop_results',
  'toggle_checked', 'restore_version',
];
/** Actions that make a new object if their message has none. @type {(keyof Actions)[]} */
const CREATING_ACTIONS = ['paint', 'outline', 'suggest'];
/** Largest body in bytes that a browser sends after the page has closed. */
const MAX_KEEPALIVE = 60000;

/** @param {object & {object_id?: number | null}} message @param {ObjectRef} [target] object of a message without one */
const addObjectId = (message, target) => (
  'object_id' in message ? { ...message, object_id: message.object_id || target?.id || null } : message);

export class EditQueue {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Settles when all queued edits are answered. @type {Promise<unknown>} */
    this.previousEdits = Promise.resolve();
    /** Unanswered edits. */
    this.pendingCount = 0;
    /** Answer to the last status, after those before. @type {Promise<any>} */
    this.previousStatuses = Promise.resolve();
    /**
     * Unacknowledged messages by id, with prompts, which are not sent again.
     * @type {Map<number, {action: string, message: object, target?: ObjectRef}>}
     */
    this.messages = new Map();
  }

  /**
   * Run after the answers to the earlier edits, and before the later ones.
   * @template T
   * @param {() => Promise<T>} task uses `sendNow`, as `edit` would wait for it
   * @returns {Promise<T>}
   */
  runInOrder(task) {
    this.pendingCount += 1;
    const answer = this.previousEdits.then(task).finally(() => { this.pendingCount -= 1; });
    this.previousEdits = answer.catch(() => {}); // the caller handles it
    return answer;
  }

  /**
   * Run a prompt as `runInOrder` does. If the page closes before the answer, edits of its new object are lost.
   * @template T
   * @param {() => Promise<T>} task
   * @param {ObjectRef} target
   */
  runPrompt(task, target) {
    const id = this.app.connection.createId();
    this.messages.set(id, { action: 'suggest', message: {}, target });
    return this.runInOrder(task).finally(() => this.messages.delete(id));
  }

  /** Send an action after the earlier edits, and before the later ones. @type {SendAction} */
  edit(action, message, target) {
    const id = this.store(action, message, target);
    return this.runInOrder(() => this.sendNow(action, message, target, id));
  }

  /**
   * Send the status of what the user sees after the earlier edits. The later ones do not wait for its answer, which may
   * take minutes.
   * @param {Actions['set_status']['message']} message
   */
  setStatus(message) {
    const id = this.store('set_status', message);
    const seen = this.previousEdits.then(() => { message.step = this.app.state.step; });
    const previous = Promise.all([seen, this.previousStatuses]);
    this.previousStatuses = previous.then(() => this.sendNow('set_status', message, undefined, id));
    return this.previousStatuses;
  }

  /**
   * Store a repeatable message, so that it is sent if the page closes; return its id.
   * @param {keyof Actions} action
   * @param {object} message
   * @param {ObjectRef} [target]
   */
  store(action, message, target) {
    if (!REPEATABLE_ACTIONS.includes(action)) return undefined;
    const id = this.app.connection.createId();
    this.messages.set(id, { action, message, target });
    return id;
  }

  /**
   * Send an action at once; `target` is the object of a message without one. If the action creates or removes it, later
   * edits go to the created object, to the one that has its pixels now, or to a new one.
   * @type {SendAction}
   */
  async sendNow(action, message, target, id) {
    const { app, messages } = this;
    const fullMessage = /** @type {any} */ (addObjectId(message, target));
    const needsObject = fullMessage.object_id === null && !CREATING_ACTIONS.includes(action);
    const answer = /** @type {any} */ (needsObject
      ? reportError(new Error('Select an object first.')) : await app.request(action, fullMessage, id));
    messages.delete(id ?? 0);
    app.history.reportLosses(answer);
    if (!answer.error && target && !app.findObject(target.id)) {
      app.selection.resolve(target, answer.result?.object_id ?? fullMessage.into ?? 0);
    }
    return answer;
  }

  /** Send the unacknowledged edits when the page closes, except those of an object that a prompt may create. */
  flush() {
    /** Objects that prompts may create. @type {Set<ObjectRef | undefined>} */
    const promptedObjects = new Set();
    const messages = [];
    for (const [id, { action, message, target }] of this.messages) {
      const fullMessage = addObjectId(message, target);
      if (action === 'suggest') promptedObjects.add(target);
      else if (fullMessage.object_id !== null || !promptedObjects.has(target)) {
        messages.push({ ...fullMessage, id, do: action });
      }
    }
    if (!messages.length) return;
    const body = JSON.stringify(messages);
    fetch('edits', { method: 'POST', body, keepalive: body.length < MAX_KEEPALIVE }).catch(() => {});
  }
}
