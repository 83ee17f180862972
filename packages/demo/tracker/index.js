/** The tracker of exported models, and masks from prompts. */

export { segmentPrompt } from './prompts.js';
export { Graphs, Tracker } from './tracker.js';
