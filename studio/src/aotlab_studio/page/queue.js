/** Actions on their way to the server: edits in order, and those that do not wait. */

import { element } from './dom.js';
import { clearErrorAfter, sendOrAsk } from './messages.js';

/** @import { Actions } from './protocol.js' */
/** @import { ActionAnswer, ShownError } from './connection.js' */
/** Object that may not exist yet: id 0 until the first edit has created it. Edits of one object share it. It keeps its
 * switches until they are stored.
 * @typedef {{readonly id: number, hidden?: boolean, locked?: boolean}} Target
 * @typedef {<A extends keyof Actions>(action: A, message: Actions[A]['message'], target?: Target, id?: number)
 *   => Promise<ActionAnswer<A> | ShownError>} SendAction `id`: of a message that may be sent again
 * @typedef {{action: keyof Actions | 'load', message?: object, target?: Target}} PendingAction not answered yet */

const MAX_KEEPALIVE = 60000; // largest total size in bytes of what a browser sends after the page has closed

/** @param {any} message @param {Target} [target] object of a message without one */
const addObjectId = (message, target) => (
  'object_id' in message ? { ...message, object_id: message.object_id || target?.id || null } : message);

/** Return how many of the oldest messages outlive the page. Those of one new object are sent together. */
function countKeepalive(/** @type {any[]} */ messages) {
  let [count, size] = [0, 0];
  for (const message of messages) {
    size += JSON.stringify(message).length + 1;
    if (size < MAX_KEEPALIVE) count += 1;
  }
  for (let index = count - 1; index >= 0; index -= 1) {
    const { target } = messages[index];
    if (messages.slice(count).some((later) => later.object_id === null && later.target === target)) count = index;
  }
  return count;
}

export class EditQueue {
  constructor(/** @type {import('./main.js').App} */ app) {
    this.app = app;
    this.repeatableActions = /** @type {string[]} */ ([]); // the server stores them once, however often they arrive
    /** Settle after all queued edits, and after all statuses. */
    this.previous = { edits: /** @type {Promise<unknown>} */ (Promise.resolve()), statuses: Promise.resolve() };
    this.actions = /** @type {Map<number, PendingAction>} */ (new Map()); // by id of the message
    this.requestCount = 1; // number of pending answers; the first one describes the session
  }

  get hasEdits() {
    return [...this.actions.values()].some(({ action }) => action !== 'set_status');
  }

  /** Count pending answers; the page is busy while there are any. @param {number} by */
  countRequests(by) {
    const wasBusy = this.requestCount > 0;
    this.requestCount += by;
    if (wasBusy !== this.requestCount > 0) element('view').ariaBusy = String(this.requestCount > 0);
  }

  /** Run `task`, which uses `send`, after the earlier ones, and before the later ones; it clears an error shown before.
   * @type {<T extends {error?: Error}>(pending: PendingAction, task: (id: number) => Promise<T>,
   *   kind?: keyof EditQueue['previous']) => Promise<T>} */
  runInOrder(pending, task, kind = 'edits') {
    const { app: { connection }, actions, previous } = this;
    const id = connection.createId();
    actions.set(id, pending);
    const answer = clearErrorAfter(previous[kind].then(() => task(id))).finally(() => actions.delete(id));
    previous[kind] = answer.then(() => {}, () => {}); // the caller handles an error
    return answer;
  }

  /** Send an action after the earlier edits, and before the later ones. @type {SendAction} */
  edit(action, message, target) {
    return this.runInOrder({ action, message, target }, (id) => this.send(action, message, target, id));
  }

  /** Send the status of what the user sees after the earlier edits. Later ones do not wait minutes for its answer. */
  setStatus(/** @type {Actions['set_status']['message']} */ message) {
    const seen = this.previous.edits.then(() => { message.step = this.app.state.step; });
    const task = (/** @type {number} */ id) => seen.then(() => this.send('set_status', message, undefined, id));
    return this.runInOrder({ action: 'set_status', message }, task, 'statuses');
  }

  /** Send an action at once, and show its error; `target` is the object of a message without one. If the action creates
   * or removes it, later edits go to the created object, to the one that has its pixels now, or to a new one.
   * @type {SendAction} */
  async send(action, message, target, id) {
    const { app } = this;
    const fullMessage = addObjectId(message, target);
    const resendId = this.repeatableActions.includes(action) ? id : undefined;
    const count = action === 'export' ? 0 : 1; // its dialog shows its progress, and it ends without the page
    this.countRequests(count);
    try {
      const answer = /** @type {any} */ (await sendOrAsk((choice) => (
        app.connection.call(action, { ...fullMessage, ...choice }, resendId))));
      if (answer.error) return answer;
      await app.playback.refresh(answer.revision);
      app.history.reportLosses(answer);
      if (target && !app.findObject(target.id)) {
        app.selection.resolve(target, answer.result?.object_id || fullMessage.into || 0);
      }
      return answer;
    } finally {
      this.countRequests(-count);
    }
  }

  /** Send the unanswered edits, up to an undo if the user may stay, except of an object that a prompt may create. */
  sendOnClose(/** @type {boolean} */ userMayStay) {
    const messages = this.listUnanswered(userMayStay);
    const count = countKeepalive(messages);
    const post = (/** @type {object[]} */ part, /** @type {boolean} */ keepalive) => {
      if (part.length) fetch('edits', { method: 'POST', body: JSON.stringify(part), keepalive }).catch(() => {});
    };
    post(messages.slice(0, count), true);
    post(messages.slice(count), false);
  }

  /** Return the messages of `sendOnClose`. @param {boolean} userMayStay */
  listUnanswered(userMayStay) {
    const promptedTargets = /** @type {Set<Target | undefined>} */ (new Set()); // objects that prompts may create
    /** Their places name the objects, of which the server knows which are created or removed. */
    const targets = [...this.actions.values()].map(({ target }) => target);
    const messages = [];
    for (const [id, { action, message = {}, target }] of this.actions) {
      const fullMessage = addObjectId(message, target);
      const isRepeatable = this.repeatableActions.includes(action);
      if (userMayStay && !isRepeatable) break;
      if (action === 'suggest') promptedTargets.add(target);
      else if (isRepeatable && (fullMessage.object_id !== null || !promptedTargets.has(target))) {
        messages.push({ ...fullMessage, id, do: action, target: targets.indexOf(target) });
      }
    }
    return messages;
  }
}
