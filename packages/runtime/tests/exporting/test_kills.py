"""Killed exports: nothing is left, and an earlier export is kept."""

from contextlib import nullcontext

import onnx
import pytest
import torch

from aotlab.export import export
from aotlab.utils.errors import InputError
from aotlab_runtime.files import read_description
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from aotlab_testing.small_model import HEIGHT, WIDTH, build

pytestmark = pytest.mark.slow


def export_empty(folder, replace=False):
    """Export graphs without content, which takes a second."""
    torch.set_num_threads(1)
    pytest.MonkeyPatch().setattr(export, "convert_to_onnx", lambda graph: onnx.ModelProto(ir_version=1 + replace))
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=2")
    export.export_model(model, config, folder, frame_size=((1 + replace) * HEIGHT, WIDTH), force=replace)


def export_until(place, folder, calls=1, replace=False):
    """Export empty graphs; die before the call of this number."""
    kill_at_call(place, calls)
    export_empty(folder, replace)


def test_next_export_removes_files_of_a_killed_one(tmp_path):
    folder = tmp_path / "export"
    for place in ("aotlab.export.export.sha256", "os.replace"):
        assert not survives_in_subprocess(export_until, place, folder)
        assert [path.suffix for path in folder.iterdir() if path.name != ".lock"] == [".part"]
    assert survives_in_subprocess(export_empty, folder)
    read_description(folder)  # complete
    assert not list(folder.glob(".*"))


def check_second_export_refused(folder):
    with pytest.raises(InputError, match="already contains an export"):
        export_empty(folder)


def test_killed_export_keeps_the_earlier_one(tmp_path):
    folder = tmp_path / "export"
    assert survives_in_subprocess(export_empty, folder)
    before = (folder / "export.json").read_bytes()
    place = "aotlab.export.export.sha256"
    assert not survives_in_subprocess(export_until, place, folder, 1, True)
    assert survives_in_subprocess(check_second_export_refused, folder)
    assert (folder / "export.json").read_bytes() == before
    assert survives_in_subprocess(export_empty, folder, True)
    assert (folder / "export.json").read_bytes() != before
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("has_export", [False, True])
def test_folder_of_a_killed_export_is_filled_again(tmp_path, has_export, calls):
    folder = tmp_path / "export"
    folder.mkdir()
    if has_export:
        assert survives_in_subprocess(export_empty, folder)
    assert not survives_in_subprocess(export_until, "os.replace", folder, calls, has_export)
    is_kept = has_export and calls == 1  # nothing was moved
    with nullcontext() if is_kept else pytest.raises(ValueError, match="not a usable export"):
        read_description(folder)
    assert survives_in_subprocess(export_empty, folder, True)
    read_description(folder)  # complete
    assert not list(folder.glob(".*"))
