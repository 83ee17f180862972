// @ts-check
/** The strips under the video: a row per object, a column per frame; also the slider that seeks. */

const ROW = 14;
const TOP = 12;

export class Timeline {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} preview
   * @param {(frame: number) => void} seek
   */
  constructor(canvas, preview, seek) {
    this.canvas = canvas;
    this.preview = preview;
    this.seek = seek;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.count = 1;
    this.frame = 0;
    /** @type {{number: number, name: string, colour: string}[]} */
    this.objects = [];
    /** @type {Map<number, string[]>} */
    this.rows = new Map();
    /** @type {number[]} */
    this.checks = [];
    this.scheduled = false;
    this.dragging = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener('pointerdown', (event) => this.press(event));
    canvas.addEventListener('pointermove', (event) => this.hover(event));
    canvas.addEventListener('pointerup', () => { this.dragging = false; });
    canvas.addEventListener('pointerleave', () => { preview.hidden = true; });
  }

  /** @param {Record<string, string>} strips */
  setStrips(strips) {
    this.rows = new Map(Object.entries(strips).map(([number, row]) => [Number(number), [...row]]));
    this.draw();
  }

  /**
   * @param {number} frame
   * @param {Record<string, string>} codes
   */
  setCodes(frame, codes) {
    for (const [number, code] of Object.entries(codes)) {
      const row = this.rows.get(Number(number)) || Array(this.count).fill('-');
      row[frame] = code;
      this.rows.set(Number(number), row);
    }
    this.draw();
  }

  /** @param {PointerEvent} event */
  frameOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(this.count - 1, Math.max(0, Math.floor(share * this.count)));
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.dragging = true;
    this.canvas.setPointerCapture(event.pointerId);
    this.seek(this.frameOf(event));
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const frame = this.frameOf(event);
    if (this.dragging) this.seek(frame);
    const source = `frame/${frame}?width=160`;
    if (this.preview.getAttribute('src') !== source) this.preview.src = source;
    const box = this.canvas.getBoundingClientRect();
    this.preview.style.left = `${Math.min(box.width - 164, Math.max(0, event.clientX - box.left - 82))}px`;
    this.preview.hidden = false;
  }

  draw() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.drawNow();
    });
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    const rows = Math.min(8, Math.max(1, this.objects.length));
    const height = TOP + rows * ROW + 2;
    if (this.canvas.clientHeight !== height) this.canvas.style.height = `${height}px`;
    const width = this.canvas.clientWidth;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const ink = getComputedStyle(this.canvas).color;
    const column = width / this.count;
    this.objects.slice(0, 8).forEach((object, row) => this.drawRow(object, TOP + row * ROW, column, ink));
    context.fillStyle = ink;
    for (const frame of this.checks) {
      context.beginPath();
      const x = (frame + 0.5) * column;
      context.moveTo(x - 4, 1);
      context.lineTo(x + 4, 1);
      context.lineTo(x, 9);
      context.fill();
    }
    const x = (this.frame + 0.5) * column;
    context.fillRect(x - 1, 0, 2, height);
    context.globalAlpha = 0.18;
    context.fillRect(this.frame * column, 0, Math.max(2, column), height);
    context.globalAlpha = 1;
    this.canvas.setAttribute('aria-valuemax', String(this.count - 1));
    this.canvas.setAttribute('aria-valuenow', String(this.frame));
  }

  /**
   * @param {{number: number, colour: string}} object
   * @param {number} y
   * @param {number} column
   * @param {string} ink
   */
  drawRow(object, y, column, ink) {
    const { context } = this;
    const row = this.rows.get(object.number);
    if (!row) return;
    for (let frame = 0; frame < this.count; frame += 1) {
      const code = row[frame];
      if (code === '-') continue;
      const x = frame * column;
      const width = Math.max(1, column - (column > 4 ? 1 : 0));
      context.globalAlpha = 1;
      if (code === 'G' || code === 'g') {
        context.fillStyle = ink;
        context.fillRect(x, y, width, ROW - 2);
        context.fillStyle = code === 'G' ? object.colour : '#888888';
        context.fillRect(x, y + 3, width, ROW - 8);
      } else if (code === 'l') {
        context.fillStyle = '#e02424';
        context.fillRect(x, y + 2, width, ROW - 6);
      } else if (code === 'a') {
        context.fillStyle = ink;
        context.fillRect(x, y + ROW / 2 - 1.5, width, 1);
      } else {
        context.globalAlpha = 0.25 + 0.075 * (Number(code) + 1);
        context.fillStyle = object.colour;
        context.fillRect(x, y + 1, width, ROW - 4);
      }
    }
    context.globalAlpha = 1;
  }
}

/**
 * What a screen reader says of a strip.
 * @param {string[] | undefined} row
 */
export function summary(row) {
  if (!row) return 'no masks yet';
  const count = (/** @type {string} */ codes) => row.filter((code) => codes.includes(code)).length;
  return `given on ${count('Gg')} frames, tracked on ${count('0123456789')}, absent on ${count('a')}, lost on ${count('l')}`;
}
