// @ts-check
/** Finding and creating elements of the page. */

/**
 * @param {string} id
 * @returns {any}
 */
export const element = (id) => document.getElementById(id);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind
 * @param {object} values
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(kind, values) {
  return Object.assign(document.createElement(kind), values);
}
