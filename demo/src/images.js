/** Interpolation of maps, one axis after the other. */

/** Maps count×height×width. @typedef {{data: Float32Array, count: number, height: number, width: number}} Maps */

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
 */
export function average(maps, radius) {
  return applyTaps(maps, averageTaps(maps.height, radius), averageTaps(maps.width, radius));
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
 */
function interpolationTaps(source, target, alignCorners, antialias) {
  const radius = antialias ? Math.max(1, source / target) : 1;
  return makeTaps(source, target, (index) => {
    let centre = ((index + 0.5) * source) / target - 0.5;
    if (alignCorners) centre = index * ((source - 1) / Math.max(1, target - 1));
    if (!antialias) centre = Math.min(source - 1, Math.max(0, centre));
    return { centre, radius, weigh: (distance) => Math.max(0, 1 - distance / radius) };
  });
}

/** @param {number} side @param {number} radius */
function averageTaps(side, radius) {
  return makeTaps(side, side, (centre) => ({ centre, radius, weigh: () => 1 }));
}

/**
 * @param {number} source
 * @param {number} target
 * @param {(index: number) => {centre: number, radius: number, weigh: (distance: number) => number}} describe
 * @returns {Taps}
 */
function makeTaps(source, target, describe) {
  const count = Math.min(source, 2 * Math.floor(describe(0).radius) + 2);
  const starts = new Int32Array(target);
  const weights = new Float32Array(target * count);
  for (let index = 0; index < target; index += 1) {
    const { centre, radius, weigh } = describe(index);
    const start = Math.max(0, Math.min(Math.ceil(centre - radius), source - count));
    const row = Array.from({ length: count }, (_, tap) => {
      const distance = Math.abs(start + tap - centre);
      return distance <= radius ? weigh(distance) : 0;
    });
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
