"""Track the objects of a mask through a folder of frames."""

from pathlib import Path

import numpy as np
from PIL import Image  # or any other reader of images or videos

from aotlab_runtime import Tracker

tracker = Tracker.from_export("exported")  # folder of `aotlab export --output exported`
mask = np.asarray(Image.open("mask.png"))  # H×W object ids of the first frame
output = Path("masks")
output.mkdir(exist_ok=True)
for path in sorted(Path("frames").glob("*.jpg")):
    frame = np.asarray(Image.open(path).convert("RGB"))  # H×W×3 uint8
    labels = tracker.step(frame, mask).labels  # H×W object ids
    mask = None
    Image.fromarray(labels).save(output / f"{path.stem}.png")
