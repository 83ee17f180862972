"""Operators of exports beside those of the framework: planes of prompts, labels resized to the network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aotlab.export.planes import draw_prompt_planes
from aotlab.export.resize import resize_nearest
from aotlab.media.prompt import Prompt
from aotlab.prompting import planes
from aotlab_runtime import Prompt as RuntimePrompt
from aotlab_runtime.inputs import check_prompts
from aotlab_runtime.segment import list_points

CROP = planes.CropBox(20, 30, 1820, 1050)
PROMPTS = {
    "points": Prompt(points=[(200, 80), (40.25, 1000), (1900, 100), (30, 30)], labels=[1, 0, 1, 0]),
    "box and point": Prompt(points=[(600, 300)], box=(400.5, 200.25, 700, 500)),
    "box across the crop": Prompt(box=(0, 0, 1920, 1080)),
    "small box": Prompt(box=(105, 105, 3, 3)),
    "flat box": Prompt(box=(105, 105, 2, 900)),
    "box on the border": Prompt(box=(1817, 500, 3, 2)),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_planes_of_points_equal_framework(name):
    prompt = PROMPTS[name]
    (checked,) = check_prompts({1: RuntimePrompt(prompt.points, prompt.labels, prompt.box)}, (1080, 1920)).values()
    points, labels = list_points(checked, np.s_[CROP.top : CROP.bottom, CROP.left : CROP.right])
    found = draw_prompt_planes(torch.from_numpy(points), torch.from_numpy(labels), CROP.size, (177, 321))
    expected = planes.draw_prompt_planes(prompt, [], CROP, (177, 321))
    assert expected.any()
    torch.testing.assert_close(found, expected[:3])


@pytest.mark.parametrize("size", [(33, 49), (480, 854), (129, 161), (1080, 1920), (5, 7)])
def test_labels_are_resized_as_by_pytorch(size):
    labels = torch.arange(size[0] * size[1], dtype=torch.int32).view(size)
    expected = F.interpolate(labels[None, None].float(), (129, 161))[0, 0]  # floats hold every index of these sizes
    torch.testing.assert_close(resize_nearest(labels, (129, 161)).float(), expected)
