"""Videos as aotlab writes them."""

from contextlib import closing
from fractions import Fraction

from aotlab_video.sources.video_writer import VideoWriter


def write_video(path, frames, rate=Fraction(24), times=None):
    """Write frames as overlays are written, at ``times`` in seconds or by the rate; return the path."""
    with closing(VideoWriter(path, rate=rate, size=frames[0].shape[:2])) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index / rate if times is None else times[index])
    return path
