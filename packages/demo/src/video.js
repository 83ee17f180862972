/** Videos: decoding to frames of one size, and encoding of overlays. */

import {
  BlobSource, BufferTarget, CanvasSource, EncodedPacketSink, Input, MATROSKA, MP4, Output, QTFF, VideoSampleSink, WEBM,
  WebMOutputFormat,
  getFirstEncodableVideoCodec,
} from 'mediabunny';
import { describeError } from './words.js';

/** Longer and shorter edge of frames in pixels; videos of other shapes get bars. */
export const [LONG_EDGE, SHORT_EDGE] = [854, 480];

/** Number of frames that are read; it bounds memory. */
const MAX_FRAMES = 1800;

export class Video {
  /**
   * @param {string} name
   * @param {VideoSampleSink} sink
   * @param {number[]} timestamps of the frames in seconds
   * @param {boolean} truncated the video has more frames
   * @param {[number, number]} size width and height in pixels
   * @param {[number, number]} shownSize width and height as shown, which differ if pixels are not square
   */
  constructor(name, sink, timestamps, truncated, size, [shownWidth, shownHeight]) {
    this.name = name;
    this.sink = sink;
    this.timestamps = timestamps;
    this.truncated = truncated;
    this.size = size;
    this.isPortrait = shownHeight > shownWidth;
    /** Size of the frames in pixels. */
    this.width = this.isPortrait ? SHORT_EDGE : LONG_EDGE;
    this.height = this.isPortrait ? LONG_EDGE : SHORT_EDGE;
    const scale = Math.min(this.width / shownWidth, this.height / shownHeight);
    const [contentWidth, contentHeight] = [Math.round(shownWidth * scale), Math.round(shownHeight * scale)];
    /** The part of a frame without bars. */
    this.content = {
      x: (this.width - contentWidth) >> 1, y: (this.height - contentHeight) >> 1, width: contentWidth, height: contentHeight,
    };
    const context = new OffscreenCanvas(this.width, this.height).getContext('2d', { willReadFrequently: true });
    this.context = /** @type {OffscreenCanvasRenderingContext2D} */ (context);
  }

  /**
   * Open a video file; throws an error for the user if it cannot be decoded.
   * @param {Blob} file @param {string} name
   */
  static async open(file, name) {
    const input = new Input({ source: new BlobSource(file), formats: [MP4, QTFF, WEBM, MATROSKA] });
    const track = (await input.canRead()) ? await input.getPrimaryVideoTrack() : null;
    if (!track) throw new Error(`${name}: not a video that can be read; use MP4, MOV, WebM or MKV`);
    if (!(await track.canDecode())) {
      const codec = (await track.getCodecParameterString()) ?? 'its codec';
      throw new Error(`${name}: this browser cannot decode ${codec}; convert it to H.264 or VP9`);
    }
    const timestamps = [];
    for await (const packet of new EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly: true })) {
      if (packet.timestamp >= 0) timestamps.push(packet.timestamp); // edit lists hide earlier frames
      if (timestamps.length > 2 * MAX_FRAMES) break;
    }
    timestamps.sort((first, second) => first - second);
    const size = /** @type {[number, number]} */ (await Promise.all([track.getCodedWidth(), track.getCodedHeight()]));
    if ((await track.getRotation()) % 180) size.reverse();
    const shownSize = /** @type {[number, number]} */ (await Promise.all([track.getDisplayWidth(), track.getDisplayHeight()]));
    return new Video(name, new VideoSampleSink(track), timestamps.slice(0, MAX_FRAMES), timestamps.length > MAX_FRAMES, size, shownSize);
  }

  /** Decode frames in order, from an index on. @param {number} first @param {number} [end] index after the last */
  async *read(first, end) {
    let index = first;
    try {
      for await (const sample of this.sink.samplesAtTimestamps(this.timestamps.slice(first, end))) {
        if (sample) {
          this.context.fillRect(0, 0, this.width, this.height);
          sample.draw(this.context, this.content.x, this.content.y, this.content.width, this.content.height);
          sample.close();
        }
        yield this.context.getImageData(0, 0, this.width, this.height);
        index += 1;
      }
    } catch (error) {
      throw new Error(`${this.name}: frame ${index + 1} cannot be decoded (${describeError(error)})`);
    }
  }
}

/**
 * Encode frames as WebM; with `alpha`, their transparency too.
 * @param {Video} video
 * @param {AsyncIterable<ImageData>} frames
 * @param {number} first index of the first frame
 * @param {'keep' | 'discard'} alpha
 * @returns {Promise<Blob>}
 */
export async function encodeWebm(video, frames, first, alpha) {
  const { x, y, width, height } = video.content;
  const [evenWidth, evenHeight] = [width & ~1, height & ~1];
  const codec = await getFirstEncodableVideoCodec(['vp9', 'vp8', 'av1'], { width: evenWidth, height: evenHeight });
  if (!codec) throw new Error('This browser cannot encode WebM; download the masks instead');
  const canvas = new OffscreenCanvas(evenWidth, evenHeight);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const output = new Output({ format: new WebMOutputFormat(), target: new BufferTarget() });
  const source = new CanvasSource(canvas, { codec, bitrate: 4e6, alpha });
  output.addVideoTrack(source);
  await output.start();
  const times = video.timestamps;
  let index = first;
  try {
    for await (const frame of frames) {
      context.putImageData(frame, -x, -y);
      const lastDuration = times[index] - (times[index - 1] ?? times[index] - 0.04);
      const duration = index + 1 < times.length ? times[index + 1] - times[index] : lastDuration;
      await source.add(times[index] - times[first], duration);
      index += 1;
    }
  } catch (error) {
    await output.cancel(); // closes the encoder
    throw error;
  }
  await output.finalize();
  return new Blob([/** @type {ArrayBuffer} */ (output.target.buffer)], { type: 'video/webm' });
}
