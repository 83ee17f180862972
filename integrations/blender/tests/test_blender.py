"""The script with Blender as a module (bpy from PyPI): nodes, frames, and the matte that the compositor renders."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab import RunOptions, open_frames, track
from tests.media.plate_files import PLATE_FILES, SIZE
from tests.repeating_tracker import RepeatingTracker

bpy = pytest.importorskip("bpy", reason="needs bpy")
sys.path.insert(0, str(Path(__file__).parents[1]))


def test_matte_of_blender_is_that_of_the_results(tmp_path):
    from blender_import import import_results

    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 20:40], mask[10:30, 40:50] = 1, 2
    source = open_frames(PLATE_FILES["half EXR"].write(tmp_path / "in"))
    options = RunOptions(write=("exr", "cryptomatte", "mattes16"), progress=False)
    track(source, {0: mask}, tmp_path / "out", RepeatingTracker(), options, classes=[":1=été"])
    scene, tree = bpy.context.scene, bpy.data.node_groups.new("comp", "CompositorNodeTree")
    nodes = import_results(tmp_path / "out", tree)
    assert {*nodes} == {"été.1", "object.2"}
    matte = nodes["été.1"]
    assert (matte.frame_start, matte.frame_offset) == (1001, 1000)
    assert [entry.name for entry in matte.entries] == ["été.1"]
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    tree.links.new(matte.outputs["Matte"], tree.nodes.new("NodeGroupOutput").inputs[0])
    scene.compositing_node_group, scene.render.engine = tree, "BLENDER_WORKBENCH"
    scene.frame_set(1002)
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "BW", "16"
    scene.view_settings.view_transform = "Raw"
    scene.render.resolution_y, scene.render.resolution_x = SIZE
    scene.render.resolution_percentage, scene.render.filepath = 100, str(tmp_path / "matte.png")
    try:
        bpy.ops.render.render(write_still=True)
    except RuntimeError as error:
        pytest.skip(f"Blender cannot render here: {error}")
    rendered, expected = (np.array(Image.open(path)) / 65535 for path in (
        tmp_path / "matte.png", tmp_path / "out" / "mattes16" / "1" / "f.1002.png"
    ))  # fmt: skip
    assert expected.max() == 1
    np.testing.assert_allclose(rendered, expected, atol=2e-3)
