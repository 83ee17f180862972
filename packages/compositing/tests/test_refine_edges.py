"""Outputs with refined edges: ``--refine-edges`` of render."""

import numpy as np
import pytest
from PIL import Image

from aotlab_compositing import edges
from aotlab_compositing.edges import refine_edges
from aotlab_testing.marks import needs_pymatting
from aotlab_testing.video.runs import track
from aotlab_video.commands.render import main
from aotlab_video.runs.store import Results
from aotlab_video.sources.video import open_frames

pytestmark = pytest.mark.usefixtures("repeater")


def read_alpha(folder):
    with Image.open(folder / "alpha" / "00002.png") as image:
        return np.array(image)


def test_missing_library_of_refined_edges_names_the_extra(video, mask, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(edges, "find_spec", lambda name: None)
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    assert main([str(tmp_path / "out"), "--write", "alpha", "--refine-edges"]) == 2
    assert "pip install './packages/compositing[edges]' in a checkout" in capsys.readouterr().err
    assert not (tmp_path / "out" / "alpha").exists()


@needs_pymatting
def test_edges_of_stored_masks_are_refined(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    out = tmp_path / "out"
    assert main([str(out), "--write", "alpha"]) == 2
    assert "needs soft edges" in capsys.readouterr().err
    assert main([str(out), "--write", "alpha,objects", "--refine-edges"]) == 0
    frames = Results.read(out).read_frames(open_frames(video))
    tracked = next(frame for frame in frames if frame.name == "00002")
    expected = refine_edges(tracked).alpha
    assert ((expected > 0) & (expected < 1)).any()
    found = read_alpha(out)
    np.testing.assert_allclose(found[..., 3], expected * 255, atol=0.51)
    np.testing.assert_array_equal(found[..., :3], tracked.frame)
    assert Results.read(out).output_options["alpha"] == {"refine_edges": True}
    assert main([str(out), "--write", "alpha", "--refine-edges", "--alpha", "premultiplied"]) == 0
    assert not read_alpha(out)[found[..., 3] == 0, :3].any()
    assert main([str(out), "--write", "overlay", "--refine-edges"]) == 2
    assert "refine_edges=True (--refine-edges): no effect on overlay" in capsys.readouterr().err


@needs_pymatting
def test_refined_edges_replace_plain_ones(video, mask, tmp_path):
    assert track(video, tmp_path, mask, args=["--write", "alpha"]) == 0
    plain = read_alpha(tmp_path / "out")
    assert main([str(tmp_path / "out"), "--write", "alpha", "--refine-edges"]) == 0
    assert (read_alpha(tmp_path / "out")[..., 3] != plain[..., 3]).any()
