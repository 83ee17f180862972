/** Table of the tools; buttons that choose one. */

import { sendMoved, showMoved } from './corners.js';
import { createElement, createIcon, element, showKey } from './dom.js';
import { toolbox } from './input.js';
import { showHint } from './messages.js';
import { prompter } from './prompts.js';
import { state, subscribe, update } from './store.js';
import { toPairs } from './viewer.js';

/** @import { Tool } from './store.js' */

/** @type {Tool[]} */
export const TOOLS = [
  {
    name: 'box', key: 'X', icon: 'square-dashed',
    help: 'Box: drag around an object; click to add to its mask, right-click or Shift to remove.',
    makesPrompts: true, isClosedShape: true,
    release: (stroke) => prompter.sendBox(stroke),
    shape: ([a, ...others]) => others.slice(-1).flatMap((b) => [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }]),
  },
  {
    name: 'click', key: 'C', icon: 'mouse-pointer-click',
    help: 'Click: on an object, or to add to its mask; right-click or Shift to remove.',
    makesPrompts: true, press: (point) => prompter.click(point, state.stroke),
  },
  {
    name: 'scribble', key: 'Z', icon: 'signature',
    help: 'Scribble: draw on an object or a missing part; right button or Shift to remove.',
    makesPrompts: true, release: (stroke) => prompter.sendScribble(stroke),
  },
  {
    name: 'brush', key: 'B', icon: 'brush',
    help: 'Brush: the wheel or the buttons − and + change its size; Ctrl draws a straight line, Ctrl+click one from the'
      + ' last stroke.',
    usesBrush: true, release: (stroke) => toolbox.send(stroke),
  },
  {
    name: 'eraser', key: 'E', icon: 'eraser',
    help: 'Eraser: remove pixels of the object; Ctrl for a straight line, Ctrl+click for one from the last stroke.',
    usesBrush: true, erases: true, release: (stroke) => toolbox.send(stroke),
  },
  {
    name: 'lasso', key: 'L', icon: 'lasso', help: 'Lasso: drag around the object; Shift to remove.',
    isClosedShape: true, release: (stroke) => { if (stroke.points.length > 2) toolbox.send(stroke); },
  },
  {
    name: 'polygon', key: 'P', icon: 'pentagon',
    help: 'Polygon: click corners; drag one to move it, right-click to remove it; Enter or the first corner closes it.',
    isPolygon: true, press: (point, inverts) => toolbox.addCorner(point, inverts),
  },
  {
    name: 'corners', key: 'Shift+P', icon: 'spline-pointer',
    help: 'Corners: drag a corner of the object’s outline, or a point between two; right-click a corner to remove it.',
    isPolygon: true, isClosedShape: true, shape: showMoved, release: sendMoved,
  },
  {
    name: 'reassign', key: 'O', icon: 'replace',
    help: 'Reassign: click a part of another object to give it to the selected one.',
    press: (point) => toolbox.editMask('reassign', { point: toPairs([point])[0] }),
  },
  {
    name: 'split', key: 'G', icon: 'scissors',
    help: 'Split: click on a separate part of the object to make it a new one.',
    press: (point) => toolbox.editMask('split_object', { point: toPairs([point])[0] }),
  },
  {
    name: 'pan', key: 'H', icon: 'hand',
    help: 'Pan: drag the frame. With other tools, drag it with the middle button.',
  },
];
const PAN = TOOLS[TOOLS.length - 1];

const findTool = (/** @type {string} */ name) => TOOLS.find((tool) => tool.name === name) ?? TOOLS[0];

export function setTool(/** @type {string} */ name) {
  const tool = findTool(name);
  if (toolbox.isDrawn || ![PAN, state.drawingTool].includes(tool)) toolbox.finish();
  showHint(tool.help);
  update({ tool, drawingTool: tool === PAN ? state.drawingTool : tool });
}

element('tools').prepend(...TOOLS.map(({ name, key, icon, help }) => {
  const values = { title: help, onclick: () => setTool(name) };
  const button = createElement('button', values, createIcon(icon), createElement('span', {}, name));
  button.dataset.tool = name;
  showKey(button, key);
  return button;
}));
subscribe(['tool'], () => {
  const { tool } = state;
  for (const button of document.querySelectorAll('#tools [data-tool]')) {
    button.ariaPressed = String(button.getAttribute('data-tool') === tool.name);
  }
  element('sizes').hidden = !tool.usesBrush;
});
update({ tool: TOOLS[0], drawingTool: TOOLS[0] });
