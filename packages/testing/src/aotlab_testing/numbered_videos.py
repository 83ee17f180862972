"""Videos whose frames show their number as black and white blocks, in containers and codings that seek inexactly."""

from pathlib import Path

import av
import numpy as np

from aotlab_testing.video_files import encode

HEIGHT, WIDTH, BITS = 64, 128, 8
BLOCK = WIDTH // BITS
GROUP = 12
"""Number of frames from one key frame to the next."""
CODINGS = {
    "h264.mp4": ("libx264", {"x264-params": "scenecut=0:bframes=2"}),
    "h264.ts": ("libx264", {"x264-params": "scenecut=0:bframes=2"}),
    "h264.m2ts": ("libx264", {"x264-params": "scenecut=0:open-gop=1:bframes=2"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2", "sc_threshold": "1000000000"}),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2", "sc_threshold": "1000000000"}),
    "mpeg2.vob": ("mpeg2video", {"bf": "2", "sc_threshold": "1000000000"}),
    "mpeg1.mpg": ("mpeg1video", {"bf": "2"}),
    "h264.avi": ("libx264", {"x264-params": "scenecut=0:bframes=2"}),
    "av1.mp4": ("libsvtav1", {"preset": "10", "svtav1-params": "hierarchical-levels=3:lp=1"}),
    "refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:scenecut=0:bframes=0"}),
    "refresh.ts": ("libx264", {"x264-params": "intra-refresh=1:scenecut=0:bframes=0"}),
    "refresh.mkv": ("libx264", {"x264-params": "intra-refresh=1:scenecut=0:bframes=0"}),
}
"""Encoder and its options by file name."""


def draw_number(number: int) -> np.ndarray:
    """Return a frame that shows a number from 0 to 255 in binary: H×W×3 uint8."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8)
    row = np.repeat(28 + 200 * bits, BLOCK)
    return np.tile(row[None, :, None], (HEIGHT, 1, 3))


def draw_strip(number: int) -> np.ndarray:
    """Return object ids with as many pixels of object 1 in the first row as the number, plus one: H×W uint16."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    labels[0, : number + 1] = 1
    return labels


def parse_number(frame: np.ndarray) -> int:
    """Return the number that a frame shows; raise `AssertionError` if it is not readable."""
    bits = []
    for bit in range(BITS):
        value = frame[8:-8, bit * BLOCK + 4 : (bit + 1) * BLOCK - 4].astype(int)
        assert value.max() < 110 or value.min() > 145, "blocks of two frames are mixed"
        bits.append(int(value.mean() > 128))
    return sum(value << bit for bit, value in enumerate(bits))


def write_numbered(path: Path, count: int) -> Path:
    """Write a video of numbered frames with the coding of its file name in `CODINGS`."""
    encoder, options = CODINGS[path.name]
    names = {".m2ts": "mpegts", ".ts": "mpegts", ".mpg": "mpeg", ".vob": "vob"}
    options = options | {"g": str(GROUP), "b": "2000000", "threads": "1"}
    images = [draw_number(number) for number in range(count)]
    return encode(path, encoder, images, rate=25, container=names.get(path.suffix), **options)


def cut_start(source: Path, target: Path, packets: int) -> Path:
    """Copy a transport stream without its first video packets, so that it begins within a group of pictures."""
    with av.open(str(source)) as old, av.open(str(target), "w", format="mpegts") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(old.streams.video[0])):
            if packet.size and number >= packets:
                packet.stream = stream
                new.mux(packet)
    return target


def cut_end(path: Path, part: float = 0.6) -> Path:
    """Keep the first part of a file, as after an interrupted download; return its path."""
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content)) | 1])  # an odd length is not a multiple of a packet's
    return path


def lose_packets(source: Path, target: Path) -> Path:
    """Copy a transport stream without some packets in its middle, as after a bad reception."""
    content = source.read_bytes()
    middle = len(content) // 2 // 188 * 188
    target.write_bytes(content[:middle] + content[middle + 20 * 188 :])
    return target


def repeat(source: Path, target: Path) -> Path:
    """Write the content of a file twice, so that its times start again in the middle."""
    target.write_bytes(source.read_bytes() * 2)
    return target
