/** Interpolation of maps, one axis after the other; connected parts of masks. */

/** Maps count×height×width. @typedef {{data: Float32Array, count: number, height: number, width: number}} Maps */

/** Lengths of steps to the next pixel that approximate Euclidean distances, as in OpenCV's 3×3 `distanceTransform`. */
const [STEP, DIAGONAL_STEP] = [0.955, 1.3693];

/** (height, width) in pixels. @typedef {[number, number]} Size */

/**
 * Weighted sources of each target along an axis: `count` from `starts[target]` on.
 * @typedef {{starts: Int32Array, weights: Float32Array, count: number}} Taps
 */

/**
 * Resize maps bilinearly, as PyTorch's `interpolate` does.
 * @param {Maps} maps
 * @param {Size} size
 * @param {{alignCorners?: boolean, antialias?: boolean}} [options]
 * @returns {Maps}
 */
export function resize(maps, [height, width], { alignCorners = false, antialias = false } = {}) {
  const rows = interpolationTaps(maps.height, height, alignCorners, antialias);
  return applyTaps(maps, rows, interpolationTaps(maps.width, width, alignCorners, antialias));
}

/**
 * Return the means of maps over squares, at the border over their part inside.
 * @param {Maps} maps
 * @param {number} radius in pixels
 * @returns {Maps}
 */
export function average(maps, radius) {
  const { data, count, height, width } = maps;
  const [rows, squares] = [new Float32Array(data.length), new Float32Array(data.length)];
  for (let row = 0; row < count * height; row += 1) averageLine(data, rows, row * width, 1, width, radius);
  for (let map = 0; map < count; map += 1) {
    for (let x = 0; x < width; x += 1) averageLine(rows, squares, map * height * width + x, width, height, radius);
  }
  return { ...maps, data: squares };
}

/**
 * Write the running means of a row or column.
 * @param {Float32Array} source
 * @param {Float32Array} target
 * @param {number} offset of the first pixel
 * @param {number} step between pixels
 * @param {number} length in pixels
 * @param {number} radius in pixels
 */
function averageLine(source, target, offset, step, length, radius) {
  let sum = 0;
  for (let end = 0; end < length + radius; end += 1) {
    const start = end - 2 * radius;
    if (end < length) sum += source[offset + end * step];
    if (start > 0) sum -= source[offset + (start - 1) * step];
    if (end >= radius) target[offset + (end - radius) * step] = sum / (Math.min(end, length - 1) - Math.max(start, 0) + 1);
  }
}

/**
 * Number the 8-connected parts of a mask from 1 on, in the order of their first pixels.
 * @param {Uint8Array} mask H×W
 * @param {number} width
 * @returns {{parts: Int32Array, areas: number[]}} the number of each pixel, 0 outside; the pixels of each number, 0 of 0
 */
export function labelParts(mask, width) {
  const [parts, areas, open] = [new Int32Array(mask.length), [0], new Int32Array(mask.length)];
  for (let first = 0; first < mask.length; first += 1) {
    if (!mask[first] || parts[first]) continue;
    let count = 1;
    open[0] = first;
    parts[first] = areas.length;
    areas.push(0);
    while (count) {
      count -= 1;
      const pixel = open[count];
      areas[parts[first]] += 1;
      const [left, right] = [pixel % width ? -1 : 0, (pixel + 1) % width ? 1 : 0];
      for (let row = pixel - width; row <= pixel + width; row += width) {
        for (let near = row + left; near <= row + right; near += 1) {
          if (!mask[near] || parts[near]) continue;
          parts[near] = parts[first];
          open[count] = near;
          count += 1;
        }
      }
    }
  }
  return { parts, areas };
}

/**
 * Return the distance in pixels of each pixel to those of a mask.
 * @param {Uint8Array} mask H×W with a pixel that is not 0
 * @param {number} width
 * @returns {Float32Array} H×W
 */
export function measureDistance(mask, width) {
  const [height, stride] = [mask.length / width, width + 2];
  const padded = new Float32Array(stride * (height + 2)).fill(Infinity);
  mask.forEach((value, pixel) => {
    if (value) padded[stride + 1 + pixel + 2 * Math.floor(pixel / width)] = 0;
  });
  for (const step of [1, -1]) { // down from the pixels before, up from those after
    const [above, corner] = [step * stride, padded.length - 1];
    for (let y = 1; y <= height; y += 1) {
      for (let x = 1; x <= width; x += 1) {
        const pixel = step > 0 ? y * stride + x : corner - y * stride - x;
        const straight = Math.min(padded[pixel - step], padded[pixel - above]) + STEP;
        const diagonal = Math.min(padded[pixel - above - 1], padded[pixel - above + 1]) + DIAGONAL_STEP;
        padded[pixel] = Math.min(padded[pixel], straight, diagonal);
      }
    }
  }
  return Float32Array.from(mask, (_, pixel) => padded[stride + 1 + pixel + 2 * Math.floor(pixel / width)]);
}

/**
 * Return the indices with which `nearest` of PyTorch resizes an axis.
 * @param {number} source
 * @param {number} target
 */
export function nearestIndices(source, target) {
  const scale = Math.fround(source / target);
  return Int32Array.from({ length: target }, (_, index) => Math.min(source - 1, Math.trunc(Math.fround(index * scale))));
}

/**
 * Round half to even, as numpy does.
 * @param {number} value
 */
export function round(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor & 1) : Math.round(value);
}

/**
 * @param {number} source
 * @param {number} target
 * @param {boolean} alignCorners
 * @param {boolean} antialias the triangle of each target pixel is as wide as the source pixels that it covers
 * @returns {Taps}
 */
function interpolationTaps(source, target, alignCorners, antialias) {
  const radius = antialias ? Math.max(1, source / target) : 1;
  const count = Math.min(source, 2 * Math.floor(radius) + 2);
  const starts = new Int32Array(target);
  const weights = new Float32Array(target * count);
  for (let index = 0; index < target; index += 1) {
    let centre = ((index + 0.5) * source) / target - 0.5;
    if (alignCorners) centre = index * ((source - 1) / Math.max(1, target - 1));
    if (!antialias) centre = Math.min(source - 1, Math.max(0, centre));
    const start = Math.max(0, Math.min(Math.ceil(centre - radius), source - count));
    const row = Array.from({ length: count }, (_, tap) => Math.max(0, 1 - Math.abs(start + tap - centre) / radius));
    const sum = row.reduce((total, weight) => total + weight);
    starts[index] = start;
    row.forEach((weight, tap) => (weights[index * count + tap] = weight / sum));
  }
  return { starts, weights, count };
}

/** @param {Maps} maps @param {Taps} rows @param {Taps} columns @returns {Maps} */
function applyTaps(maps, rows, columns) {
  const { count, width } = maps;
  const [height, newWidth] = [rows.starts.length, columns.starts.length];
  const data = new Float32Array(count * height * newWidth);
  const line = new Float32Array(width);
  for (let map = 0; map < count; map += 1) {
    for (let y = 0; y < height; y += 1) {
      line.fill(0);
      for (let tap = 0; tap < rows.count; tap += 1) {
        const weight = rows.weights[y * rows.count + tap];
        if (!weight) continue;
        const offset = (map * maps.height + rows.starts[y] + tap) * width;
        for (let x = 0; x < width; x += 1) line[x] += weight * maps.data[offset + x];
      }
      const offset = (map * height + y) * newWidth;
      for (let x = 0; x < newWidth; x += 1) {
        let sum = 0;
        for (let tap = 0; tap < columns.count; tap += 1) {
          sum += columns.weights[x * columns.count + tap] * line[columns.starts[x] + tap];
        }
        data[offset + x] = sum;
      }
    }
  }
  return { data, count, height, width: newWidth };
}
