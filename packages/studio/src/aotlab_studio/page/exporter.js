/** Dialog that exports the masks. */

import { element, findOptions, followOutputs, formatCount } from './dom.js';
import { onSubmit, readNumber } from './fields.js';
import { CANCELED, showMessage, showToast } from './messages.js';
import { queue } from './queue.js';
import { findAnnotatedFrames } from './timeline.js';

class Exporter {
  constructor() {
    this.key = 0; // random; cancels the export, even before it is requested
    onSubmit(element('export-start'), () => this.start());
    followOutputs(element('export-dialog'));
    element('export-annotated').onclick = () => {
      const frames = findAnnotatedFrames();
      element('export-first').value = String(frames[0] ?? '');
      element('export-last').value = String(frames.pop() ?? '');
    };
    element('export-cancel').onclick = () => queue.send('cancel_export', { key: this.key });
  }

  open() {
    if (!element('export-start').disabled) this.setRunning(false); // the masks may have changed since the last one
    element('export-dialog').showModal();
  }

  async start() {
    const [first, last] = [readNumber('export-first'), readNumber('export-last')];
    const names = [...document.querySelectorAll('#outputs :checked')].map((box) => box.getAttribute('name') ?? '');
    this.key = Math.floor(Math.random() * 2 ** 52);
    this.setRunning(true);
    await queue.previous; // later ones do not wait for an export
    const answer = await queue.send('export', {
      names, first, last, key: this.key, options: findOptions(),
    });
    this.setRunning(false);
    const isOpen = element('export-dialog').open;
    if (answer.error) {
      element('export-missing').textContent = answer.error === CANCELED ? '' : answer.error.message;
      if (isOpen) showMessage('');
      return;
    }
    const { archive, missing, unclassed, without_attributes: lacking } = answer.result;
    Object.assign(element('download'), { hidden: false, textContent: `Download ${archive}` });
    const objects = unclassed ? `${formatCount(unclassed, 'object')} without a class, exported as “object”. ` : '';
    const frames = missing ? `${formatCount(missing, 'frame')} without masks, which mask and annotation files omit`
      + ' and videos show without an overlay.' : '';
    const attributes = lacking.length ? `${lacking.join(', ')}: cannot hold the objects’ attributes. ` : '';
    element('export-missing').textContent = objects + attributes + frames;
    if (!isOpen) showToast(`${archive} is ready`, { Download: () => element('download').click() });
    else if (!document.activeElement?.matches('input')) element('download').focus(); // not while the user types
  }

  setRunning(/** @type {boolean} */ isRunning) {
    element('export-start').disabled = isRunning;
    element('export-progress').hidden = element('export-cancel').hidden = !isRunning;
    element('export-progress').value = 0;
    element('export-missing').textContent = '';
    element('download').hidden = true;
  }
}

export const exporter = new Exporter();
