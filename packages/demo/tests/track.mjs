// Replays packages/runtime/tests/cases.json with the page's tracker in Node: node track.mjs EXPORT CASES
//
// Prints {name: equal pixels of each frame in [0, 1]}. Masks on later frames and several groups are not supported.
import { readdirSync, readFileSync } from 'node:fs';
import { unzlibSync } from 'fflate';
import * as runtime from 'onnxruntime-web';
import { segmentPrompt } from '../tracker/prompts.js';
import { Graphs, Tracker } from '../tracker/tracker.js';

const [folder, path] = process.argv.slice(2);
runtime.env.wasm.numThreads = 1;
const files = Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(`${folder}/${name}`)]));
const cases = JSON.parse(readFileSync(path, 'utf-8'), (_, value) => (
  value?.deflated ? { shape: value.shape, data: unzlibSync(Buffer.from(value.deflated, 'base64')) } : value
));
const graphs = await Graphs.load(runtime, files, ['wasm']).catch((error) => {
  console.error(error.message);
  process.exit(2);
});

/** Return the frames of an array T×H×W×3. */
function splitFrames({ shape: [length, height, width], data }) {
  const area = 3 * height * width;
  return Array.from({ length }, (_, index) => ({ data: data.subarray(index * area, (index + 1) * area), height, width }));
}

/** Return the share of equal labels. */
function compare(found, expected) {
  return found.filter((label, pixel) => label === expected[pixel]).length / expected.length;
}

const equal = {};
const frames = splitFrames(cases.frames);
for (const [name, { memory, masks, labels }] of Object.entries(cases.tracking)) {
  const first = masks[0].data;
  if (memory.policy !== 'bounded_fifo' || Object.keys(masks).length > 1) continue;
  Object.assign(graphs.memorySettings, memory);
  const tracker = new Tracker(graphs);
  await tracker.start(frames[0], first);
  equal[name] = [];
  for (const [index, frame] of frames.slice(1).entries()) {
    const start = (index + 1) * first.length;
    equal[name].push(compare(await tracker.step(frame), labels.data.subarray(start, start + first.length)));
  }
}
const [height, width, channels] = cases.prompt_frame.shape;
const [frame] = splitFrames({ shape: [1, height, width, channels], data: cases.prompt_frame.data });
for (const [name, { points, labels, box, mask, keep, segmented }] of Object.entries(cases.prompts)) {
  const positive = points.filter((_, index) => labels[index]);
  const negative = points.filter((_, index) => !labels[index]);
  const prompt = { positive, negative, box, mask: mask && mask.data };
  equal[name] = [compare(await segmentPrompt(graphs, frame, prompt, keep.data), segmented.data)];
}
console.log(JSON.stringify(equal));
