/** Form of the classes that the lead of a list allows, with colors, keys and attributes. */

import { fetchOrThrow } from './connection.js';
import { createElement, createIcon } from './dom.js';

/** @import { AttributeRule, ClassRule } from './protocol.js' */

const FORMATS = { cvat: 'CVAT', label_studio: 'Label Studio', coco: 'COCO' };
const KINDS = /** @type {const} */ (['text', 'number', 'choice', 'yes/no']);

/** Return a field with a label that screen readers and tests read.
 * @param {string} ariaLabel @param {string} value @param {object} [options] */
const createField = (ariaLabel, value, options = {}) => (
  createElement('input', { type: 'text', maxLength: 60, ariaLabel, value, ...options }));

/** @param {string} title @param {() => void} onclick */
const createRemoveButton = (title, onclick) => (
  createElement('button', { type: 'button', className: 'small', title, onclick }, createIcon('x')));

/** Row of an attribute, and what is typed in it. */
class AttributeForm {
  constructor(/** @type {Partial<AttributeRule>} */ { name, kind, values, mandatory, per_frame: isPerFrame } = {}) {
    this.name = createField('Attribute', name ?? '');
    this.kind = createElement('select', { ariaLabel: 'Kind' }, ...KINDS.map((text) => new Option(text)));
    this.kind.value = kind ?? 'text';
    this.values = createElement('textarea', {
      ariaLabel: 'Values, one a line', placeholder: 'one a line', rows: 2, value: (values ?? []).join('\n'),
    });
    this.mandatory = createElement('input', { type: 'checkbox', checked: mandatory });
    this.perFrame = createElement('input', { type: 'checkbox', checked: isPerFrame });
    this.line = createElement('div', { className: 'row' }, this.name, this.kind, this.values,
      createElement('label', {}, this.mandatory, ' mandatory'),
      createElement('label', { title: 'Its value holds until the next one' }, this.perFrame, ' per frame'),
      createRemoveButton('Remove the attribute', () => this.line.remove()));
    const showValues = () => { this.values.hidden = this.kind.value !== 'choice'; };
    this.kind.onchange = showValues;
    showValues();
  }

  /** @returns {AttributeRule} */
  read() {
    return {
      name: this.name.value.trim(),
      kind: /** @type {AttributeRule['kind']} */ (this.kind.value),
      values: this.values.hidden ? [] : this.values.value.split('\n').map((line) => line.trim()).filter(Boolean),
      mandatory: this.mandatory.checked,
      per_frame: this.perFrame.checked,
    };
  }
}

/** Section of a class, and what is typed in it. */
class ClassForm {
  constructor(/** @type {Partial<ClassRule>} */ { name = '', color = '', key = '', attributes = [] } = {}) {
    this.name = createField('Class', name);
    this.color = createField('Color', color, { maxLength: 7, placeholder: '#rrggbb' });
    this.key = createField('Key', key, { maxLength: 1 });
    this.forms = /** @type {AttributeForm[]} */ ([]);
    const add = createElement('button', { type: 'button', onclick: () => this.addAttribute() }, 'Add an attribute');
    const head = createElement('div', { className: 'row' },
      createElement('label', {}, 'Class ', this.name), createElement('label', {}, 'Color ', this.color),
      createElement('label', {}, 'Alt+', this.key), add,
      createRemoveButton('Remove the class', () => this.section.remove()));
    this.section = createElement('section', {}, head);
    for (const rule of attributes) this.addAttribute(rule);
  }

  addAttribute(/** @type {AttributeRule | undefined} */ rule = undefined) {
    const form = new AttributeForm(rule);
    this.forms.push(form);
    this.section.append(form.line);
  }

  /** @returns {ClassRule} */
  read() {
    const attributes = this.forms.filter(({ line }) => line.isConnected).map((form) => form.read());
    return { name: this.name.value.trim(), color: this.color.value.trim(), key: this.key.value.trim(), attributes };
  }
}

export class SchemaForm {
  constructor(/** @type {ClassRule[]} */ classes) {
    this.forms = /** @type {ClassForm[]} */ ([]);
    this.sections = createElement('div', { className: 'schema' });
    this.problem = createElement('p', { className: 'problem', role: 'alert' });
    const file = createElement('input', { type: 'file', accept: '.json,.xml', ariaLabel: 'Load a schema' });
    file.onchange = () => this.load(file).catch(({ message }) => { this.problem.textContent = message; });
    const links = Object.entries(FORMATS).map(([format, text]) => (
      createElement('a', { href: `schema/${format}`, download: '' }, text)));
    const add = createElement('button', { type: 'button', onclick: () => this.addClass() }, 'Add a class');
    const load = createElement('label', {}, 'Load from CVAT, Label Studio, COCO ', file);
    this.content = createElement('div', {}, createElement('h3', {}, 'Classes'), this.sections,
      createElement('div', { className: 'row' }, add, load),
      createElement('div', { className: 'row' }, 'Stored classes as ', ...links), this.problem);
    for (const rule of classes) this.addClass(rule);
  }

  async load(/** @type {HTMLInputElement} */ field) {
    const [file] = field.files ?? [];
    if (!file) return;
    const answer = await fetchOrThrow('schema', { method: 'POST', body: file });
    this.problem.textContent = '';
    this.sections.replaceChildren();
    for (const rule of /** @type {ClassRule[]} */ (await answer.json())) this.addClass(rule);
  }

  addClass(/** @type {ClassRule | undefined} */ rule = undefined) {
    const form = new ClassForm(rule);
    this.forms.push(form);
    this.sections.append(form.section);
  }

  /** Return the classes that are typed. @returns {ClassRule[]} */
  read() {
    return this.forms.filter(({ section }) => section.isConnected).map((form) => form.read());
  }
}
