// @ts-check
/** Drawing of the timeline's names, ticks and rows. Sizes are CSS pixels. */

/** @typedef {{id: number, name: string, colour: string}} Row */

export const ROW = 14;
export const TOP = 22;
/** Width of the column of names. */
export const NAMES = 96;
/** Smallest distance of two ticks. */
const TICK = 64;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Row[]} objects
 * @param {number} chosen
 * @param {string} ink
 */
export function drawNames(context, objects, chosen, ink) {
  context.textBaseline = 'middle';
  objects.forEach(({ id, name, colour }, index) => {
    const y = TOP + index * ROW + ROW / 2 - 1;
    context.fillStyle = colour;
    context.fillRect(2, y - 4, 8, 8);
    context.fillStyle = ink;
    context.font = `${id === chosen ? 'bold ' : ''}11px system-ui, sans-serif`;
    let text = name;
    while (text.length > 1 && context.measureText(text).width > NAMES - 20) text = `${text.slice(0, -2)}…`;
    context.fillText(text, 14, y);
  });
}

/**
 * Draw frame numbers above the rows.
 * @param {CanvasRenderingContext2D} context
 * @param {{first: number, span: number, column: number, ink: string}} how
 */
export function drawTicks(context, { first, span, column, ink }) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 1e5].find((one) => one * column >= TICK) || 1e6;
  context.fillStyle = ink;
  context.font = '10px system-ui, sans-serif';
  for (let frame = Math.ceil(first / step) * step; frame < first + span; frame += step) {
    const x = NAMES + (frame - first) * column;
    context.fillText(String(frame), x + 3, 6);
    context.globalAlpha = 0.4;
    context.fillRect(x, 0, 1, TOP - 2);
    context.globalAlpha = 1;
  }
}

/**
 * Return the runs of equal codes.
 * @param {string[]} row
 * @returns {[string, number, number][]} code, first frame, number of frames
 */
export function runsOf(row) {
  /** @type {[string, number, number][]} */
  const runs = [];
  row.forEach((code, frame) => {
    const last = runs[runs.length - 1];
    if (last && last[0] === code) last[2] += 1;
    else runs.push([code, frame, 1]);
  });
  return runs;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[string, number, number][]} runs
 * @param {{x: number, y: number, column: number, colour: string, ink: string}} how `x` of the first frame
 */
export function drawRow(context, runs, { x: left, y, column, colour, ink }) {
  const gap = column > 4 ? 1 : 0;
  for (const [code, first, length] of runs) {
    // if columns are wide, each frame has its own box
    for (let frame = first; frame < first + length; frame += gap ? 1 : length) {
      if (code === '-') break;
      const x = left + frame * column;
      const width = Math.max(1, gap ? column - gap : column * length);
      context.globalAlpha = 1;
      if (code === 'G' || code === 'g') {
        context.fillStyle = ink;
        context.fillRect(x, y, width, ROW - 2);
        context.fillStyle = code === 'G' ? colour : '#888888';
        context.fillRect(x, y + 3, width, ROW - 8);
      } else if (code === 'l') {
        // two lines, unlike any object
        context.fillStyle = '#e02424';
        context.fillRect(x, y + 1, width, 2);
        context.fillRect(x, y + ROW - 5, width, 2);
      } else if (code === 'a') {
        context.fillStyle = ink;
        context.fillRect(x, y + ROW / 2 - 1.5, width, 1);
      } else {
        context.globalAlpha = 0.25 + 0.075 * (Number(code) + 1);
        context.fillStyle = colour;
        context.fillRect(x, y + 1, width, ROW - 4);
      }
    }
  }
  context.globalAlpha = 1;
}

/**
 * Return the description of a row for screen readers.
 * @param {string[] | undefined} row
 */
export function summary(row) {
  if (!row) return 'no masks yet';
  const count = (/** @type {string} */ codes) => row.filter((code) => codes.includes(code)).length;
  return `given on ${count('Gg')} frames, tracked on ${count('0123456789')}, absent on ${count('a')}, lost on ${count('l')}`;
}
