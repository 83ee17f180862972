/** HTTP requests, and the WebSocket with its calls, answers and events; reconnects. */

/** @import { Actions, Answer, Failure, ServerEvent } from './protocol.js' */
/**
 * @template {keyof Actions} A
 * @typedef {Omit<Answer, 'result'> & {result: Actions[A]['result'], error?: undefined}} ActionAnswer
 */
/** Failed action, whose error is shown. @typedef {{error: Error, result?: undefined, step?: undefined}} Failed */

/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void, resendText: string}} Call */

const NO_CONNECTION = 'No connection to the program. Is it still running? Reconnecting…';

/**
 * Request an address; throw that there is no connection, or the server's error.
 * @param {string} address
 * @param {RequestInit} [options]
 * @param {number} [expected] HTTP status that is no error
 */
export async function fetchOrThrow(address, options, expected) {
  const answer = await fetch(address, options).catch(() => { throw new Error(NO_CONNECTION); });
  if (answer.ok || answer.status === expected) return answer;
  throw new Error(await answer.text());
}

/** Return the error of a failure, with the choices that it offers. @param {Failure} failure */
export const toError = ({ error, choices }) => Object.assign(new Error(error), { choices });

export class Connection {
  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.app = app;
    /** Calls without an answer, and texts that are sent again to the next connection. @type {Map<number, Call>} */
    this.pendingCalls = new Map();
    /** Last message id; the first one is random, so that no two pages share ids. */
    this.lastId = 2 ** 32 + Math.floor(Math.random() * 2 ** 52);
    /** Id of this page; no other open page undoes its steps. */
    this.pageId = String(this.lastId);
    this.reconnectDelay = 250;
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(new URL(`socket?page=${this.pageId}`, location.href).href.replace('http', 'ws'));
    this.socket.onopen = () => {
      this.reconnectDelay = 250;
      this.app.showConnection(true);
      for (const { resendText } of this.pendingCalls.values()) if (resendText) this.socket?.send(resendText);
    };
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = () => {
      for (const [id, { reject, resendText }] of this.pendingCalls) {
        if (resendText) continue;
        reject(new Error(NO_CONNECTION));
        this.pendingCalls.delete(id);
      }
      this.app.showConnection(false);
      setTimeout(() => this.connect(), this.reconnectDelay);
      this.reconnectDelay = Math.min(5000, this.reconnectDelay * 2);
    };
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Throw the reason why there is no connection. @param {string} name of the video */
  async explainDisconnect(name) {
    const { status } = await fetchOrThrow('page/main.js', { cache: 'no-store' }, 403);
    if (status !== 403) throw new Error(NO_CONNECTION);
    throw new Error(`This page belongs to an earlier run; open the new link of “aotlab annotate ${name}”.`);
  }

  /** @param {ServerEvent | Answer | Failure} message */
  receive(message) {
    if ('event' in message) return this.app.handleEvent(message);
    const call = this.pendingCalls.get(message.id ?? 0);
    this.pendingCalls.delete(message.id ?? 0);
    return 'error' in message ? call?.reject(toError(message)) : call?.resolve(message);
  }

  /**
   * Send a message; with an id of `createId`, until it is answered: the server stores each id once.
   * @type {<A extends keyof Actions>(action: A, message: Actions[A]['message'], id?: number)
   *   => Promise<ActionAnswer<A>>}
   */
  async call(action, message, id) {
    if (!id && !this.isOpen) throw new Error(NO_CONNECTION);
    const key = id ?? this.createId();
    const text = JSON.stringify({ ...message, id: key, do: action });
    return new Promise((resolve, reject) => {
      this.pendingCalls.set(key, { resolve, reject, resendText: id ? text : '' });
      if (this.isOpen) this.socket?.send(text);
    });
  }

  createId() {
    this.lastId += 1;
    return this.lastId;
  }
}
