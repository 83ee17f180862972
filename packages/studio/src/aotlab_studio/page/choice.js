/** Menus of what the server offers: the model that tracks, the segmenter of prompts. */

import { element } from './dom.js';
import { queue } from './queue.js';

class Choice {
  /** @param {'model' | 'segmenter'} kind @param {number} least number of names that are worth a menu */
  constructor(kind, least) {
    this.kind = kind;
    this.least = least;
    this.chosen = '';
    element(kind).onchange = async () => {
      const { error } = await queue.edit(`set_${kind}`, { name: element(kind).value });
      if (error) this.setChosen(this.chosen);
    };
  }

  offer(/** @type {string[]} */ names, /** @type {string} */ chosen) {
    const options = names.map((name) => new Option(name === 'bundled' ? `the bundled ${this.kind}` : name, name));
    element(this.kind).replaceChildren(...options);
    element(`${this.kind}-row`).hidden = names.length < this.least;
    this.setChosen(chosen);
  }

  setChosen(/** @type {string} */ name) {
    this.chosen = name;
    element(this.kind).value = name;
  }
}

export const modelChoice = new Choice('model', 1);
export const segmenterChoice = new Choice('segmenter', 2);
