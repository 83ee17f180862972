"""An output that needs soft edges, for tests without the package that has some."""

import numpy as np
from PIL import Image

from aotlab.sdk import atomic_path
from aotlab_video import Output


class Mattes(Output):
    """``<id>/<frame>.png``: probability of the object in gray of 16 bits, from its first tracked frame on."""

    file_name, description = "mattes", "one folder of gray PNGs per object"
    per_object, needs_soft, needs_image = True, True, False

    def write(self, frame):
        for object_id, probability in zip(frame.ids, frame.probabilities, strict=True):
            with atomic_path(self.path / str(object_id) / f"{frame.name}.png") as temporary:
                Image.fromarray((probability * 65535).round().astype(np.uint16)).save(temporary, format="PNG")
