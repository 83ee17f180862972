/** Table of the classes that the lead of a list allows, with colors, keys and attributes. */

import { fetchOrThrow } from './connection.js';
import { createElement } from './dom.js';
import { showError } from './messages.js';

/** @import { AttributeRule, ClassRule } from './protocol.js' */

const FORMATS = { cvat: 'CVAT', label_studio: 'Label Studio', coco: 'COCO' };
const HELP = 'Attributes: “sex*: male | female; pose@: sitting | standing; age: number; seen: yes/no; text”. '
  + 'A star: mandatory. An at sign: may change from frame to frame.';

/** Return the text of attributes. @param {AttributeRule[]} attributes */
const formatAttributes = (attributes) => attributes.map(({ name, kind, values, mandatory, per_frame: isPerFrame }) => {
  const type = kind === 'text' ? '' : `: ${kind === 'choice' ? values.join(' | ') : kind}`;
  return `${name}${mandatory ? '*' : ''}${isPerFrame ? '@' : ''}${type}`;
}).join('; ');

/** Return the attributes of a text. @param {string} text @returns {AttributeRule[]} */
function parseAttributes(text) {
  return text.split(';').filter((part) => part.trim()).map((part) => {
    const [left, ...right] = part.split(':');
    const [label, type] = [left.trim(), right.join(':').trim()];
    const name = label.replace(/[*@]+$/, '').trim();
    const marks = label.slice(name.length);
    const kind = type === 'number' || type === 'yes/no' ? type : type ? 'choice' : 'text';
    const values = kind === 'choice' ? type.split('|').map((value) => value.trim()).filter(Boolean) : [];
    return { name, kind, values, mandatory: marks.includes('*'), per_frame: marks.includes('@') };
  });
}

export class SchemaTable {
  constructor(/** @type {ClassRule[]} */ classes) {
    this.rows = createElement('tbody', {});
    const heads = ['Class', 'Color', 'Alt+', 'Attributes', 'Remove'].map((text) => (
      createElement('th', { scope: 'col' }, text)));
    const table = createElement('table', {}, createElement('thead', {}, createElement('tr', {}, ...heads)), this.rows);
    const file = createElement('input', { type: 'file', accept: '.json,.xml', ariaLabel: 'Load a schema' });
    file.onchange = () => this.load(file).catch(showError);
    const links = Object.entries(FORMATS).map(([format, text]) => (
      createElement('a', { href: `schema/${format}`, download: '' }, text)));
    const add = createElement('button', { type: 'button', onclick: () => this.addRow() }, 'Add a class');
    const load = createElement('label', {}, 'Load from CVAT, Label Studio, COCO ', file);
    this.content = createElement('div', { className: 'schema' }, createElement('h3', {}, 'Classes'), table,
      createElement('div', { className: 'row' }, add, load),
      createElement('div', { className: 'row' }, 'Stored classes as ', ...links), createElement('p', {}, HELP));
    for (const rule of classes) this.addRow(rule);
  }

  async load(/** @type {HTMLInputElement} */ field) {
    const [file] = field.files ?? [];
    if (!file) return;
    const answer = await fetchOrThrow('schema', { method: 'POST', body: file });
    this.rows.replaceChildren();
    for (const rule of /** @type {ClassRule[]} */ (await answer.json())) this.addRow(rule);
  }

  addRow(/** @type {Partial<ClassRule>} */ { name = '', color = '', key = '', attributes = [] } = {}) {
    const fields = [
      createElement('input', { type: 'text', maxLength: 60, value: name, ariaLabel: 'Class' }),
      createElement('input', { type: 'text', maxLength: 7, value: color, ariaLabel: 'Color', placeholder: '#rrggbb' }),
      createElement('input', { type: 'text', maxLength: 1, value: key, ariaLabel: 'Key' }),
      createElement('input', { type: 'text', value: formatAttributes(attributes), ariaLabel: 'Attributes' }),
    ];
    const remove = createElement('button', { type: 'button', ariaLabel: 'Remove the class', textContent: '×' });
    const row = createElement('tr', {}, ...[...fields, remove].map((field) => createElement('td', {}, field)));
    remove.onclick = () => row.remove();
    this.rows.append(row);
  }

  /** Return the classes in the table. @returns {ClassRule[]} */
  read() {
    const rows = [...this.rows.rows].map((row) => [...row.querySelectorAll('input')].map(({ value }) => value.trim()));
    return rows.filter(([name]) => name).map(([name, color, key, attributes]) => (
      { name, color: color.toLowerCase(), key, attributes: parseAttributes(attributes) }));
  }
}
