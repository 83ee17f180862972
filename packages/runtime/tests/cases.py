"""Cases recorded with PyTorch, which the framework, the runtime and the demo replay with the stored export.

``cases.json`` has ``frames`` and ``prompt_frame``, on which the prompts are; ``tracking`` by name: changes of the
memory's settings, masks by frame, the labels of all frames; ``prompts`` by name: points, labels, box, an earlier mask
to correct, ids of other objects that keep their pixels, and the mask. Arrays are uint8, deflated, in base 64.
"""

import base64
import json
import zlib
from pathlib import Path

import numpy as np

CASES = Path(__file__).with_name("cases.json")
"""After a change of the export, ``python -m runtime.tests.exports`` renews it."""
MIN_EQUAL = 0.995
"""Smallest share of equal pixels in a frame: processors order sums differently, and random weights have near ties."""


def read_cases():
    """Return the recorded cases, or {} before the first recording."""
    return json.loads(CASES.read_text("utf-8"), object_hook=unpack) if CASES.exists() else {}


def write_cases(cases):
    CASES.write_text(json.dumps(cases, default=pack, indent=1) + "\n", encoding="utf-8")


def pack(array):
    deflated = zlib.compress(np.asarray(array).astype(np.uint8).tobytes(), 9)
    return {"shape": array.shape, "deflated": base64.b64encode(deflated).decode()}


def unpack(item):
    if "deflated" not in item:
        return item
    return np.frombuffer(zlib.decompress(base64.b64decode(item["deflated"])), np.uint8).reshape(item["shape"])


def draw_frames(count, height, width, seed=0):
    """Frames T×H×W×3 of random tiles that slide to the left."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 256, (height // 8 + 1, (width + count) // 8 + 1, 3), dtype=np.uint8)
    wide = tiles.repeat(8, 0).repeat(8, 1)
    return np.stack([wide[:height, index : index + width] for index in range(count)])


def replay_tracking(tracker, case, frames):
    """Return the labels T×H×W of a case by a tracker with its settings."""
    return np.stack([tracker.step(frame, case["masks"].get(str(index))).labels for index, frame in enumerate(frames)])


def assert_equal_labels(found, expected):
    shares = (np.asarray(found) == expected).reshape(-1, *expected.shape[-2:]).mean((1, 2))
    assert shares.min() >= MIN_EQUAL, shares
