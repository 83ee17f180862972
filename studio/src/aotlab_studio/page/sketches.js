// @ts-check
/** Drawing of unfinished input: lines, corners, clicks, the cursor. Widths are CSS pixels. */

/** @typedef {import('./viewer.js').Point} Point */
/** @typedef {import('./viewer.js').Sketch} Sketch */
/** @typedef {CanvasRenderingContext2D} Context */

/**
 * @param {Context} context in pixels of the frame
 * @param {Sketch} sketch
 * @param {(pixels: number) => number} css CSS pixels as pixels of the frame
 */
export function drawSketch(context, sketch, css) {
  const { points, width } = sketch;
  context.lineJoin = context.lineCap = 'round';
  context.strokeStyle = context.fillStyle = sketch.colour;
  context.beginPath();
  points.forEach((point, index) => (index ? context.lineTo(point.x, point.y) : context.moveTo(point.x, point.y)));
  if (width && points.length) {
    if (points.length === 1) context.lineTo(points[0].x + 0.001, points[0].y);
    context.globalAlpha = 0.6;
    context.lineWidth = width;
    context.stroke();
    context.globalAlpha = 1;
  } else if (points.length) {
    if (sketch.closed) context.closePath();
    strokeTwice(context, css(1.5));
    if (sketch.corners) points.forEach((point) => disc(context, point, css(3)));
  }
  for (const mark of sketch.marks) drawMark(context, mark, css);
}

/**
 * Draw a plus or minus in a ring, in black and white, which no object has.
 * @param {Context} context
 * @param {import('./viewer.js').Mark} mark
 * @param {(pixels: number) => number} css
 */
function drawMark(context, { point: { x, y }, positive }, css) {
  context.fillStyle = '#000';
  disc(context, { x, y }, css(8));
  context.fillStyle = '#fff';
  disc(context, { x, y }, css(6.5));
  context.strokeStyle = '#000';
  context.lineWidth = css(2);
  context.beginPath();
  context.moveTo(x - css(3.5), y);
  context.lineTo(x + css(3.5), y);
  if (positive) {
    context.moveTo(x, y - css(3.5));
    context.lineTo(x, y + css(3.5));
  }
  context.stroke();
}

/**
 * @param {Context} context
 * @param {[number, number][][]} outlines
 * @param {(pixels: number) => number} css
 */
export function drawPreview(context, outlines, css) {
  context.beginPath();
  for (const outline of outlines) {
    outline.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
  }
  context.fillStyle = 'rgba(255, 255, 255, 0.25)';
  context.fill('evenodd');
  strokeTwice(context, css(1));
}

/**
 * @param {Context} context
 * @param {{point: Point, radius: number}} cursor
 * @param {(pixels: number) => number} css
 */
export function drawCursor(context, { point, radius }, css) {
  const arm = css(6);
  context.beginPath();
  context.arc(point.x, point.y, radius, 0, 7);
  context.moveTo(point.x - arm, point.y);
  context.lineTo(point.x + arm, point.y);
  context.moveTo(point.x, point.y - arm);
  context.lineTo(point.x, point.y + arm);
  strokeTwice(context, css(1));
}

/**
 * @param {Context} context
 * @param {number} line
 */
function strokeTwice(context, line) {
  context.lineWidth = 3 * line;
  context.strokeStyle = '#000';
  context.stroke();
  context.lineWidth = 1.2 * line;
  context.strokeStyle = '#fff';
  context.stroke();
}

/**
 * @param {Context} context
 * @param {Point} point
 * @param {number} radius
 */
function disc(context, point, radius) {
  context.beginPath();
  context.arc(point.x, point.y, radius, 0, 7);
  context.fill();
}
