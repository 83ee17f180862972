"""The script with Blender as a module (bpy from PyPI): nodes, frames, and the matte that the compositor renders.

Folders that cannot be used are refused before Blender is called, so these tests run with a stand-in.
"""

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from aotlab_testing.plate_files import PLATE_FILES, SIZE
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_video import RunOptions, open_frames, track


@pytest.fixture(autouse=True)
def script(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    yield
    sys.modules.pop("blender_import", None)


def test_matte_of_blender_is_that_of_the_results(tmp_path):
    bpy = pytest.importorskip("bpy", reason="needs bpy")
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


@pytest.mark.parametrize(("frames", "words"), [
    (None, r"out: no results of aotlab \(.*No such file.*\); give the folder of a finished run"),
    ('{"name": "shot.1', r"out: no results of aotlab \(.*\); give the folder of a finished run"),
    ("", "out: no tracked frame; give the folder of a finished run"),
    ('{"name": "front"}\n', "out: frame front does not end in a number; rename the frames, and track them again"),
    ('{"name": "1001"}\n', r"1001\.exr: no Cryptomatte with names of objects; write it again with aotlab render"),
])  # fmt: skip
def test_folder_without_usable_frames_rejected(tmp_path, monkeypatch, frames, words):
    monkeypatch.setitem(sys.modules, "bpy", MagicMock())
    from blender_import import import_results

    if frames is not None:
        (tmp_path / "out").mkdir()
        outputs = {"exr": ["exr/{frame}.exr"], "cryptomatte": ["cryptomatte/{frame}.exr"]}
        (tmp_path / "out" / "results.json").write_text(json.dumps({"outputs": outputs, "objects": [1]}))
        (tmp_path / "out" / "frames.jsonl").write_text(frames)
    tree = MagicMock()
    with pytest.raises(SystemExit, match=words):
        import_results(tmp_path / "out", tree)
    assert tree.mock_calls == []
