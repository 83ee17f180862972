// @ts-check
/** All tools, in the order of their buttons; the first is the default. */

import { brush, eraser } from './tool_brush.js';
import { lasso, polygon } from './tool_outline.js';
import { part, split } from './tool_part.js';
import { box, click } from './tool_prompt.js';

/** @type {import('./toolbox.js').Tool} */
const pan = { name: 'pan', key: 'H', icon: '✥', help: 'Pan: drag the image. Space plays; a middle drag always pans.', press: () => {} };

/** @type {import('./toolbox.js').Tool[]} */
export const TOOLS = [box, click, brush, eraser, lasso, polygon, part, split, pan];
