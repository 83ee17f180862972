/** Words of messages, also of the worker's. */

/** Shown until the model is loaded, if an object is marked before. */
export const WAIT_FOR_MODEL = 'Wait until the model is loaded';

/** Return the message of an error, else its kind. @param {unknown} error */
export function describeError(error) {
  return error instanceof Error ? error.message || error.name : String(error);
}

/** Return a count with its noun, such as "1 frame" or "2 frames". @param {number} count @param {string} noun */
export function describeCount(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
