/** Actions on their way to the server: edits in order, and those that do not wait. */

import { connection } from './connection.js';
import { element } from './dom.js';
import { CANCELED, clearErrorAfter, sendOrForce, showHint, showMessage } from './messages.js';
import { playback } from './playback.js';
import { selection } from './selection.js';
import { state, update } from './store.js';

/** @import { Actions } from './protocol.js' */
/** @import { ActionAnswer, ShownError } from './connection.js' */
/** @import { PendingAction, Target } from './store.js' */
/** @typedef {<A extends keyof Actions>(action: A, message: Actions[A]['message'], target?: Target, id?: number)
 *   => Promise<ActionAnswer<A> | ShownError>} SendAction with the `id` of its message, it may be sent again */

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

class EditQueue {
  repeatableActions = /** @type {string[]} */ ([]); // the server carries out each message once
  previous = /** @type {Promise<unknown>} */ (Promise.resolve()); // settles after all queued edits
  requestCount = 0; // number of pending answers
  refused = { text: '', count: 0 }; // last error of edits, and the number of edits in a row that had it

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
    const { actions } = state;
    const { previous } = this;
    const id = connection.createId();
    showHint(''); // about an earlier action
    actions.set(id, pending);
    update({ actions });
    const text = pending.action === 'segment' ? 'Segmenting…' : 'Saving…';
    const show = () => Object.assign(element('saving'), { hidden: false, textContent: text });
    const timer = setTimeout(show, SAVING_DELAY);
    const answer = clearErrorAfter(previous.then(() => task(id))).finally(() => {
      clearTimeout(timer);
      actions.delete(id);
      update({ actions });
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
        connection.call(action, { ...fullMessage, ...values }, resendId)));
      if (!answer.error) await this.showAnswer(answer, message, target);
      if (resendId) this.countRefused(answer.error);
      return answer;
    } finally {
      this.addPending(-count);
    }
  }

  /** Show how many edits in a row had the same error, for example as the disk is full. @param {Error} [error] */
  countRefused(error) {
    const text = error?.message ?? '';
    this.refused = { text, count: text === this.refused.text ? this.refused.count + 1 : 1 };
    const { count } = this.refused;
    if (error && error !== CANCELED && count > 1) showMessage(`${text} (${count} edits were not stored)`, true);
  }

  /** Show the masks after an answer, and what it created. @param {ActionAnswer<any>} answer @param {object} message
   * @param {Target} [target] */
  async showAnswer(answer, message, target) {
    await playback.refresh(answer.revision);
    const { hiddenIds } = state;
    update({ answer, ...(hiddenIds.delete(answer.result?.object_id) && { hiddenIds }) }); // it was drawn
    if (target) selection.updateTarget(target, answer.result?.object_id || getMergeTarget(message) || 0);
  }

  /** Return the messages of unanswered edits and prompts; only those before an undo if the user may stay. */
  listUnanswered(/** @type {boolean} */ userMayStay) {
    // the index of a target identifies its object for the server, which knows which are created or removed
    const targets = [...state.actions.values()].map(({ target }) => target);
    const messages = /** @type {object[]} */ ([]);
    for (const [id, { action, message, target, isCanceled }] of state.actions) {
      const isRepeatable = message && this.repeatableActions.includes(action);
      if (userMayStay && !isRepeatable) break;
      if (!isRepeatable || isCanceled?.()) continue;
      messages.push({ ...addObjectId(message, target), id, do: action, target: target && targets.indexOf(target) });
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
      if (part.length) fetch(`edits?project=${state.project.id}`, request).catch(() => {});
    }
  }
}

export const queue = new EditQueue();
