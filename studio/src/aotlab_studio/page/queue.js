/** Actions on their way to the server: edits in order, and those that do not wait. */

import { element } from './dom.js';
import { clearErrorAfter, sendOrForce, showHint } from './messages.js';

/** @import { Actions } from './protocol.js' */
/** @import { ActionAnswer, ShownError } from './connection.js' */
/** Object that may not exist yet: id 0 until the first edit has created it. Edits of one object share it.
 * @typedef {{readonly id: number}} Target
 * @typedef {<A extends keyof Actions>(action: A, message: Actions[A]['message'], target?: Target, id?: number)
 *   => Promise<ActionAnswer<A> | ShownError>} SendAction with the `id` of its message, it may be sent again
 * @typedef {{action: keyof Actions | 'load', message?: object, target?: Target, isCanceled?: () => boolean}}
 *   PendingAction an action without an answer */

const MAX_KEEPALIVE = 60000; // largest total size in bytes of what a browser sends after the page has closed
const SAVING_DELAY = 1000; // milliseconds before the page shows that an edit is not stored yet

/** Return a message with the object of its target. @template {object} M
 * @param {M} message @param {Target} [target] object of a message without one @returns {M} */
const addObjectId = (message, target) => Object.assign({}, message,
  'object_id' in message && { object_id: message.object_id || target?.id || null });

/** Return the object that a message merges another one into; undefined: it merges none. @param {object} message */
const getMergeTarget = (message) => (
  'into' in message && typeof message.into === 'number' ? message.into : undefined);

/** Return the oldest messages, as many as fit. @param {object[]} messages @returns {object[]} */
function limitSize(messages) {
  const isTooLarge = new Blob([JSON.stringify(messages)]).size > MAX_KEEPALIVE;
  return isTooLarge ? limitSize(messages.slice(0, -1)) : messages;
}

export class EditQueue {
  /** @param {import('./connection.js').Connection} connection @param {import('./project.js').Project} project
   * @param {(answer: any, target?: Target, into?: number) => Promise<void>} showAnswer runs before the next edit */
  constructor(connection, project, showAnswer) {
    this.connection = connection;
    this.project = project;
    this.showAnswer = showAnswer;
    this.repeatableActions = /** @type {string[]} */ ([]); // the server carries out each message once
    this.previous = /** @type {Promise<unknown>} */ (Promise.resolve()); // settles after all queued edits
    this.actions = /** @type {Map<number, PendingAction>} */ (new Map()); // by id of the message
    this.requestCount = 0; // number of pending answers
  }

  get hasEdits() {
    return this.actions.size > 0;
  }

  /** Count pending answers; the page is busy while there are any. @param {number} by */
  addPending(by) {
    const wasBusy = this.requestCount > 0;
    this.requestCount += by;
    if (wasBusy !== this.requestCount > 0) element('view').ariaBusy = String(this.requestCount > 0);
  }

  /** Run `task`, which uses `send`, after the earlier ones, and before the later ones; it clears an error shown before.
   * @type {<T extends {error?: Error}>(pending: PendingAction, task: (id: number) => Promise<T>)
   *   => Promise<T | ShownError>} */
  async runInOrder(pending, task) {
    const { connection, actions, previous } = this;
    const id = connection.createId();
    showHint(''); // about an earlier action
    actions.set(id, pending);
    const timer = setTimeout(() => { element('saving').hidden = false; }, SAVING_DELAY);
    const answer = clearErrorAfter(previous.then(() => task(id))).finally(() => {
      clearTimeout(timer);
      actions.delete(id);
      element('saving').hidden ||= !actions.size;
    });
    this.previous = answer.then(() => {}, () => {}); // the caller handles an error
    return answer;
  }

  /** Send an action after the earlier edits, and before the later ones. @type {SendAction} */
  edit(action, message, target) {
    return this.runInOrder({ action, message, target }, (id) => this.send(action, message, target, id));
  }

  /** Send an action at once, and show its error; `target` is the object of a message without one. @type {SendAction} */
  async send(action, message, target, id) {
    const fullMessage = addObjectId(message, target);
    const resendId = this.repeatableActions.includes(action) ? id : undefined;
    const count = action === 'export' ? 0 : 1; // its dialog shows its progress, and it ends without the page
    this.addPending(count);
    try {
      const answer = await sendOrForce((values) => (
        this.connection.call(action, { ...fullMessage, ...values }, resendId)));
      if (!answer.error) await this.showAnswer(answer, target, getMergeTarget(message));
      return answer;
    } finally {
      this.addPending(-count);
    }
  }

  /** Return the messages of unanswered edits and prompts; only those before an undo if the user may stay. */
  listUnanswered(/** @type {boolean} */ userMayStay) {
    // the index of a target identifies its object for the server, which knows which are created or removed
    const targets = [...this.actions.values()].map(({ target }) => target);
    const messages = /** @type {object[]} */ ([]);
    for (const [id, { action, message, target, isCanceled }] of this.actions) {
      const isRepeatable = message && this.repeatableActions.includes(action);
      if (userMayStay && !isRepeatable) break;
      if (!isRepeatable || isCanceled?.()) continue;
      messages.push({ ...addObjectId(message, target), id, do: action, target: targets.indexOf(target) });
    }
    return messages;
  }

  /** Send unanswered edits and prompts when the page closes, or may close. */
  sendOnClose(/** @type {boolean} */ userMayStay) {
    const messages = this.listUnanswered(userMayStay);
    const kept = userMayStay ? [] : limitSize(messages); // all requests on their way share the limit
    // the other request has all, as a target is known only within a request; the server carries out each message once
    for (const part of kept.length < messages.length ? [kept, messages] : [kept]) {
      const request = { method: 'POST', body: JSON.stringify(part), keepalive: part === kept };
      if (part.length) fetch(`edits?project=${this.project.id}`, request).catch(() => {});
    }
  }
}
