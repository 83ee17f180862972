"""Export that is killed at several places: nothing is left behind, and an earlier export is kept."""

import onnx
import pytest
import torch

from aotlab.engine.export import export
from aotlab.utils.errors import InputError
from aotlab_runtime.export import read_description
from tests.engine.small_model import HEIGHT, WIDTH, build
from tests.processes import completes_in_subprocess, die_before

pytestmark = pytest.mark.slow


def export_empty(folder, replace=False):
    """Export graphs without content, which takes a second."""
    torch.set_num_threads(1)
    pytest.MonkeyPatch().setattr(export, "convert_to_onnx", lambda graph: onnx.ModelProto())
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=2")
    export.export_model(model, config, folder, video=((1 + replace) * HEIGHT, WIDTH), force=replace)


def export_until(place, folder, calls=1, replace=False):
    """Export empty graphs; die before the call of this number."""
    die_before(place, calls)
    export_empty(folder, replace)


def test_next_export_removes_files_of_a_killed_one(tmp_path):
    folder = tmp_path / "export"
    for place in ("aotlab.engine.export.export.sha256", "os.replace"):
        assert not completes_in_subprocess(export_until, place, folder)
        assert not folder.exists()
        assert [path for path in tmp_path.iterdir() if ".part" in path.name]
    assert completes_in_subprocess(export_empty, folder)
    read_description(folder)  # complete
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


def check_second_export_refused(folder):
    with pytest.raises(InputError, match="already contains an export"):
        export_empty(folder)


@pytest.mark.parametrize("calls", [1, 2])
def test_export_killed_while_replacing_keeps_the_earlier_one(tmp_path, calls):
    folder = tmp_path / "export"
    assert completes_in_subprocess(export_empty, folder)
    before = (folder / "export.json").read_bytes()
    assert not completes_in_subprocess(export_until, "os.replace", folder, calls, True)
    assert completes_in_subprocess(check_second_export_refused, folder)
    assert (folder / "export.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".part", ".lock")] == ["export"]
    assert completes_in_subprocess(export_empty, folder, True)
    assert (folder / "export.json").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


@pytest.mark.parametrize("calls", [1, 3])
def test_folder_of_a_killed_export_is_filled_again(tmp_path, calls):
    folder = tmp_path / "export"
    folder.mkdir()
    assert not completes_in_subprocess(export_until, "os.replace", folder, calls)
    assert not (folder / "export.json").exists()
    assert completes_in_subprocess(export_empty, folder, True)
    read_description(folder)  # complete
    assert not list(folder.glob(".*"))
