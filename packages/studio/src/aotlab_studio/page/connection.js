/** HTTP requests, and the WebSocket with its calls, answers and events; reconnects. */

import { focusViewIfLost } from './dom.js';
import { state } from './store.js';

/** @import { Actions, Answer, Failure, ServerEvent } from './protocol.js' */
/** @template {keyof Actions} A
 * @typedef {Omit<Answer, 'result'> & {result: Actions[A]['result'], error?: undefined}} ActionAnswer */
/** Error of a request. @typedef {Error & {unfinished?: boolean, status?: number}} RequestError */
/** Failed action, whose error is shown. @typedef {{error: Error, result?: undefined, step?: undefined}} ShownError */

/** Unanswered message; if `canResend`, the next connection sends it again.
 * @typedef {{resolve: (value: any) => void, reject: (error: Error) => void, text: string, canResend: boolean}} Call */

const NO_CONNECTION = 'No connection to the program. Is it still running? Reconnecting…';
const NO_ANSWER = 'The program did not answer a request. Is it still running?';
const RETRY_DELAY = 500; // milliseconds after which a request without an answer is repeated

/** Return the answer to a request; throw the server's error. */
export async function fetchOrThrow(/** @type {string} */ url, /** @type {RequestInit} */ options = {}) {
  const answer = await fetch(url, options).catch(async () => {
    if (options.method) throw new Error(NO_ANSWER); // it may have arrived
    await new Promise((resolve) => { setTimeout(resolve, RETRY_DELAY); });
    return fetch(url, options).catch(() => { throw new Error(NO_ANSWER); });
  });
  if (answer.ok) return answer;
  throw new Error(await answer.text());
}

/** Return the error of a failure. @param {Failure} failure */
export const toError = ({ error, unfinished }) => Object.assign(new Error(error), { unfinished });

class Connection {
  pendingCalls = /** @type {Map<number, Call>} */ (new Map()); // by id of the message
  lastId = 2 ** 32 + Math.floor(Math.random() * 2 ** 52); // of messages; random, so that no two pages share ids
  pageId = String(this.lastId); // id of this page; no other open page undoes its steps
  reconnectDelay = 0; // milliseconds; 0 at first
  socket = /** @type {WebSocket | undefined} */ (undefined);

  /** Connect, and reconnect whenever the connection is lost. @param {(event: ServerEvent) => void} handleEvent
   * @param {(isOpen: boolean) => unknown} showConnection called when it is open or lost */
  connect(handleEvent, showConnection) {
    const address = `socket?page=${this.pageId}&project=${state.project.id}`;
    const socket = new WebSocket(new URL(address, location.href).href.replace('http', 'ws'));
    socket.onopen = () => {
      this.socket = socket;
      this.reconnectDelay = 0;
      const unanswered = [...this.pendingCalls.values()]; // before the page sends new calls
      showConnection(true);
      for (const { text } of unanswered) socket.send(text);
    };
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data), handleEvent);
    socket.onclose = () => {
      for (const [id, { canResend, reject }] of this.pendingCalls) {
        if (canResend) continue;
        reject(new Error(NO_CONNECTION));
        this.pendingCalls.delete(id);
      }
      showConnection(false);
      setTimeout(() => this.connect(handleEvent, showConnection), this.reconnectDelay);
      this.reconnectDelay = Math.min(5000, this.reconnectDelay * 2 + 250);
    };
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Return the error that explains the lost connection. */
  async findDisconnectError() {
    const address = `labels/0?project=${state.project.id}`; // refused for the same reason
    const answer = await fetch(address, { cache: 'no-store' }).catch(() => null);
    if (!answer || answer.ok) return new Error(NO_CONNECTION);
    const text = answer.status !== 403 ? await answer.text()
      : 'This page belongs to an earlier run. Open the link of the new one; this page then reconnects.';
    return Object.assign(new Error(text), { status: answer.status });
  }

  /** @param {ServerEvent | Answer | Failure} message @param {(event: ServerEvent) => void} handleEvent */
  receive(message, handleEvent) {
    if ('event' in message) return focusViewIfLost(() => handleEvent(message));
    const call = this.pendingCalls.get(message.id ?? 0);
    this.pendingCalls.delete(message.id ?? 0);
    return 'error' in message ? call?.reject(toError(message)) : call?.resolve(message);
  }

  /** Send a message; with an id of `createId`, until it is answered: the server stores each id once.
   * @type {<A extends keyof Actions>(action: A, message: Actions[A]['message'], id?: number)
   *   => Promise<ActionAnswer<A>>} */
  async call(action, message, id) {
    if (!id && !this.isOpen) throw new Error(NO_CONNECTION);
    const key = id ?? this.createId();
    return new Promise((resolve, reject) => {
      const text = JSON.stringify({ ...message, id: key, do: action });
      this.pendingCalls.set(key, { resolve, reject, text, canResend: Boolean(id) });
      if (this.isOpen) this.socket?.send(text);
    });
  }

  createId() {
    this.lastId += 1;
    return this.lastId;
  }
}

export const connection = new Connection();
