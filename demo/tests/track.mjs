// Tracks a clip with the page's tracker in Node: node track.mjs EXPORT CLIP OUTPUT
//
// CLIP.json: {shape: [T, H, W], prompts}, CLIP.rgb: frames, CLIP.mask: first labels.
// OUTPUT: labels T×H×W of the tracked frames, then a mask H×W for each prompt.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as runtime from 'onnxruntime-web';
import { segmentPrompt } from '../src/prompts.js';
import { Graphs, Tracker } from '../src/tracker.js';

const [folder, clip, output] = process.argv.slice(2);
runtime.env.wasm.numThreads = 1;
const files = Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(`${folder}/${name}`)]));
const { shape: [length, height, width], prompts } = JSON.parse(readFileSync(`${clip}.json`, 'utf-8'));
const [pixels, mask] = [new Uint8Array(readFileSync(`${clip}.rgb`)), new Uint8Array(readFileSync(`${clip}.mask`))];
const frames = Array.from({ length }, (_, index) => {
  const data = pixels.subarray(3 * index * height * width, 3 * (index + 1) * height * width);
  return { data, height, width };
});
const graphs = await Graphs.load(runtime, files, ['wasm']).catch((error) => {
  console.error(error.message);
  process.exit(2);
});
const tracker = new Tracker(graphs);
const results = [mask];
await tracker.start(frames[0], mask);
for (const frame of frames.slice(1)) results.push(await tracker.step(frame));
const otherObjects = mask.map((id) => Number(id === 2));
for (const prompt of prompts) {
  const typedPrompt = { ...prompt, mask: prompt.mask && Uint8Array.from(prompt.mask) };
  results.push(await segmentPrompt(graphs, frames[0], typedPrompt, otherObjects));
}
writeFileSync(output, Buffer.concat(results));
