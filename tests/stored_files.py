"""Archives of files that released versions have written; see `tests/stored/write.py`."""

import shutil
from pathlib import Path

ARCHIVES = sorted(Path(__file__).with_name("stored").glob("*.zip"))


def unpack(archive, folder):
    """Unpack an archive into a folder other than the one that its files name; return the folder."""
    shutil.unpack_archive(archive, folder)
    return folder
