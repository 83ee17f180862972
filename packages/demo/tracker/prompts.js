/** Mask of an object from a box and points on one frame: a coarse pass, then a refining pass around the object. */

import { labelComponents, measureDistance, round } from './images.js';

/** @typedef {import('./tracker.js').Frame} Frame */
/** @typedef {import('./tracker.js').Graphs} Graphs */
/** x and y in pixels. @typedef {[number, number]} Point */
/** @typedef {{top: number, left: number, height: number, width: number}} Crop */

/**
 * Prompts for an object in pixels of the frame; the box is left, top, width, height, the mask is an earlier one H×W of
 * 0 and 1 to correct.
 * @typedef {object} Prompt
 * @property {Point[]} positive
 * @property {Point[]} negative
 * @property {[number, number, number, number] | null} box
 * @property {Uint8Array | null} mask
 */

/**
 * Segment an object: a coarse pass over a crop around the box or, without a box, over the whole frame; then a refining
 * pass over a crop around the object, which moves its outline to edges of the frame.
 * @param {Graphs} graphs
 * @param {Frame} frame
 * @param {Prompt} prompt with a box, a mask or a positive point
 * @param {Uint8Array} otherObjects H×W, pixels other than 0 belong to other objects
 * @returns {Promise<Uint8Array>} mask H×W of 0 and 1
 */
export async function segmentPrompt(graphs, frame, prompt, otherObjects) {
  const { crop_edge, frame_edge, coarse_margin, refine_margin, excluded_logit } = graphs.promptSettings;
  const whole = { top: 0, left: 0, height: frame.height, width: frame.width };
  const coarseCrop = prompt.box ? findCrop(graphs, frame, prompt, null, coarse_margin) : whole;
  const edge = prompt.box ? crop_edge : frame_edge;
  /** @param {Float32Array} logits */
  const exclude = (logits) => logits.map((logit, pixel) => (otherObjects[pixel] ? excluded_logit : logit));
  const { logits } = await segmentCrop(graphs, frame, prompt, prompt.mask, coarseCrop, edge);
  const rough = exclude(logits).map(sigmoid);
  const crop = findCrop(graphs, frame, prompt, rough, refine_margin);
  const { refined_logits } = await segmentCrop(graphs, frame, prompt, rough, crop, crop_edge);
  const mask = Uint8Array.from(exclude(refined_logits), (logit) => Number(logit > 0));
  removeFarFromPrompt(mask, frame, prompt, graphs.promptSettings);
  return mask;
}

/**
 * Return the outputs of the prompt network, padded to H×W, for a crop whose longer edge becomes about `edge` pixels.
 * @param {Graphs} graphs
 * @param {Frame} frame
 * @param {Prompt} prompt
 * @param {Uint8Array | Float32Array | null} rough mask H×W in 0 to 1
 * @param {Crop} crop
 * @param {number} edge
 * @returns {Promise<Record<string, Float32Array>>}
 */
async function segmentCrop(graphs, frame, prompt, rough, crop, edge) {
  const [{ height, width }, { excluded_logit, align_corners }] = [crop, graphs.promptSettings];
  const [extra, scale] = [Number(align_corners), edge / Math.max(height, width)];
  /** @param {number} side */
  const fit = (side) => graphs.tokenSize * Math.max(2, round((side * scale - extra) / graphs.tokenSize)) + extra;
  const size = [fit(height), fit(width)];
  const [image, mask] = [new Uint8Array(3 * height * width), new Float32Array(height * width)];
  forRows(crop, frame.width, (start, row) => {
    image.set(frame.data.subarray(3 * start, 3 * (start + width)), 3 * row);
    if (rough) mask.set(rough.subarray(start, start + width), row);
  });
  const [points, labels] = listPoints(prompt, crop);
  const outputs = await graphs.run('prompt', {
    image: graphs.tensor(image, [height, width, 3]),
    points: graphs.tensor(Float32Array.from(points.flat()), [points.length, 2]),
    labels: graphs.tensor(Int32Array.from(labels), [labels.length]),
    rough_mask: graphs.tensor(mask, [height, width]),
    canvas: graphs.tensor(new Uint8Array(size[0] * size[1]), size), // only its shape is read
  });
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => {
    const data = /** @type {Float32Array} */ (tensor.data);
    const logits = new Float32Array(frame.height * frame.width).fill(excluded_logit);
    forRows(crop, frame.width, (start, row) => logits.set(data.subarray(row, row + width), start));
    return [name, logits];
  }));
}

/**
 * Call `visit` with the index of the first pixel of each row of a crop, in the frame and in the crop.
 * @param {Crop} crop
 * @param {number} frameWidth
 * @param {(start: number, row: number) => void} visit
 */
function forRows({ top, left, height, width }, frameWidth, visit) {
  for (let y = 0; y < height; y += 1) visit((top + y) * frameWidth + left, y * width);
}

/**
 * Return the crop around an object, square where the frame allows; without the object, the whole frame.
 * @param {Graphs} graphs
 * @param {Frame} frame
 * @param {Prompt} prompt its positive points and its box are in the crop
 * @param {Float32Array | null} rough mask H×W in 0 to 1, in the crop too if the prompt has no box
 * @param {number} margin on each side, as a fraction of the longer side
 */
function findCrop(graphs, frame, { positive, box }, rough, margin) {
  let [left, top, right, bottom] = boundingBox(box ? [...positive, ...boxCorners(box)] : positive);
  if (!box) {
    rough?.forEach((value, pixel) => {
      if (value <= 0.5) return;
      const [x, y] = [pixel % frame.width, Math.floor(pixel / frame.width)];
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
    });
  }
  if (left > right) return { top: 0, left: 0, height: frame.height, width: frame.width };
  const side = Math.max(graphs.promptSettings.min_crop, (1 + 2 * margin) * Math.max(right - left, bottom - top));
  const [y, height] = placeSide((top + bottom) / 2, side, frame.height);
  const [x, width] = placeSide((left + right) / 2, side, frame.width);
  return { top: y, left: x, height, width };
}

/** Return start and length. @param {number} center @param {number} side @param {number} limit */
function placeSide(center, side, limit) {
  const start = round(Math.min(Math.max(center - side / 2, 0), Math.max(0, limit - side)));
  return [start, Math.min(limit, start + round(side)) - start];
}

/** Return left, top, right, bottom; without points, an empty range. @param {Point[]} points */
function boundingBox(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** @param {NonNullable<Prompt['box']>} box @returns {[Point, Point]} */
function boxCorners([left, top, width, height]) {
  return [[left, top], [left + width, top + height]];
}

/**
 * Return points in pixels of a crop and their labels: 1 on the object, 0 off it, 2 and 3 the corners of its box.
 * @param {Prompt} prompt
 * @param {Crop} crop
 * @returns {[Point[], number[]]}
 */
function listPoints({ positive, negative, box }, { left, top }) {
  const corners = box ? boxCorners(box) : [];
  const points = [...positive, ...negative, ...corners].map(([x, y]) => /** @type {Point} */ ([x - left, y - top]));
  return [points, [...positive.map(() => 1), ...negative.map(() => 0), ...corners.map((_, index) => 2 + index)]];
}

/**
 * Remove the pixels of a mask H×W far outside its box, or in components far from those with a point.
 *
 * Components that overlap the prompt's mask count as having a point; if none has one, the largest one counts.
 * @param {Uint8Array} mask
 * @param {{height: number, width: number}} frame
 * @param {Prompt} prompt
 * @param {Record<string, number>} settings of the prompt network
 */
export function removeFarFromPrompt(mask, { height, width }, prompt, { box_margin, max_part_distance }) {
  if (prompt.box) {
    const [marginX, marginY] = [box_margin * prompt.box[2], box_margin * prompt.box[3]];
    const [[left, top], [right, bottom]] = boxCorners(prompt.box);
    const corners = /** @type {Point[]} */ ([[left - marginX, top - marginY], [right + marginX, bottom + marginY]]);
    const box = boundingBox([...corners, ...prompt.positive]);
    mask.forEach((_, pixel) => {
      const x = pixel % width;
      const y = Math.floor(pixel / width);
      if (x < box[0] || y < box[1] || x > box[2] || y > box[3]) mask[pixel] = 0;
    });
    return;
  }
  const { components, areas } = labelComponents(mask, width);
  if (areas.length <= 2) return;
  const kept = new Uint8Array(areas.length);
  for (const [x, y] of prompt.positive) {
    const [column, row] = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
    kept[components[round(row) * width + round(column)]] = 1;
  }
  prompt.mask?.forEach((value, pixel) => {
    if (value) kept[components[pixel]] = 1;
  });
  kept[0] = 0;
  if (!kept.includes(1)) {
    kept[areas.reduce((largest, area, label) => (area > areas[largest] ? label : largest), 0)] = 1;
  }
  const limit = max_part_distance * Math.sqrt(areas.reduce((sum, area, label) => sum + kept[label] * area, 0));
  const distance = measureDistance(Uint8Array.from(components, (label) => kept[label]), width);
  components.forEach((label, pixel) => {
    if (label && distance[pixel] <= limit) kept[label] = 1;
  });
  components.forEach((label, pixel) => (mask[pixel] = kept[label]));
}

/** @param {number} logit */
function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}
