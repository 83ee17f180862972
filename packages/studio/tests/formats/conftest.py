"""A mask in colors with its label map, for the tests of formats."""

import numpy as np
import pytest
from PIL import Image

from aotlab_testing.video.sample import SIZE, draw_labels


@pytest.fixture
def colored(tmp_path):
    image = np.zeros((*SIZE, 3), np.uint8)
    image[draw_labels(2) == 3], image[draw_labels(2) == 7] = (255, 0, 0), (0, 128, 255)
    Image.fromarray(image).save(tmp_path / "mask.png")
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nball:0,128,255::\nperson:255,0,0::\n")
    return tmp_path / "mask.png"
