"""``aotlab track`` on a disk that becomes full: what it says that it wrote exists."""

import errno
import os
import re
from contextlib import contextmanager
from itertools import count

import pytest

from aotlab_testing.limits import limit_file_size
from aotlab_testing.video.runs import WRITE, track
from aotlab_video.runs.store import Results

pytestmark = pytest.mark.usefixtures("repeater")


@contextmanager
def fill_disk(after):
    """Refuse to rename files and folders into place after a number of them, as without space on the disk."""
    replace, numbers = os.replace, count()

    def replace_or_fail(source, target, **options):
        if next(numbers) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_or_fail)
        yield


@pytest.mark.parametrize("full", [
    *map(limit_file_size, (100, 2500, 3000)), *map(fill_disk, (0, 1, 2, 3, 8, *range(14, 44, 3))),
])  # fmt: skip
def test_written_files_are_named_only_if_they_exist(video, mask, tmp_path, capsys, full):
    with full:
        status = track(video, tmp_path, mask, args=WRITE)
    output = capsys.readouterr()
    named = re.findall(rf"{re.escape(str(tmp_path / 'out'))}/[\w.]+", output.out)
    assert [path for path in named if not os.path.exists(path)] == []
    results = Results.read(tmp_path / "out") if (tmp_path / "out").exists() else None
    listed = (
        [] if results is None else [path for name in results.outputs for path in results.expand(results.outputs[name])]
    )
    assert [path for path in listed if not (tmp_path / "out" / path).exists()] == []
    if status:
        assert re.search(r"^error: .*(No space left|File too large)", output.err, re.MULTILINE)
