/** Connected components of masks, distances to them. */

/** Lengths of steps to the next pixel that approximate Euclidean distances, as in OpenCV's 3×3 `distanceTransform`. */
const [STRAIGHT_STEP, DIAGONAL_STEP] = [0.955, 1.3693];

/**
 * Label the 8-connected components of a mask from 1 on, in the order of their first pixels.
 * @param {Uint8Array} mask H×W
 * @param {number} width
 * @returns {{components: Int32Array, areas: number[]}} label of each pixel, 0 outside; area by label, 0 for 0
 */
export function labelComponents(mask, width) {
  const [components, areas, stack] = [new Int32Array(mask.length), [0], new Int32Array(mask.length)];
  for (let first = 0; first < mask.length; first += 1) {
    if (!mask[first] || components[first]) continue;
    let count = 1;
    stack[0] = first;
    components[first] = areas.length;
    areas.push(0);
    while (count) {
      count -= 1;
      const pixel = stack[count];
      areas[components[first]] += 1;
      const [left, right] = [pixel % width ? -1 : 0, (pixel + 1) % width ? 1 : 0];
      for (let row = pixel - width; row <= pixel + width; row += width) {
        for (let near = row + left; near <= row + right; near += 1) {
          if (!mask[near] || components[near]) continue;
          components[near] = components[first];
          stack[count] = near;
          count += 1;
        }
      }
    }
  }
  return { components, areas };
}

/**
 * Return the distance in pixels of each pixel to a mask.
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
  for (const step of [1, -1]) { // from the top left, then from the bottom right
    const [above, corner] = [step * stride, padded.length - 1];
    for (let y = 1; y <= height; y += 1) {
      for (let x = 1; x <= width; x += 1) {
        const pixel = step > 0 ? y * stride + x : corner - y * stride - x;
        const straight = Math.min(padded[pixel - step], padded[pixel - above]) + STRAIGHT_STEP;
        const diagonal = Math.min(padded[pixel - above - 1], padded[pixel - above + 1]) + DIAGONAL_STEP;
        padded[pixel] = Math.min(padded[pixel], straight, diagonal);
      }
    }
  }
  return Float32Array.from(mask, (_, pixel) => padded[stride + 1 + pixel + 2 * Math.floor(pixel / width)]);
}

/**
 * Round half to even, as numpy does.
 * @param {number} value
 */
export function round(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor & 1) : Math.round(value);
}
