"""Archives of files that released versions have written; see `packages/testing/stored/write.py`."""

import shutil

from aotlab.configs.files import ROOT

ARCHIVES = sorted((ROOT / "packages/testing/stored").glob("*.zip"))


def unpack(archive, folder):
    """Unpack an archive into a folder other than the one that its files name; return the folder."""
    shutil.unpack_archive(archive, folder)
    return folder
