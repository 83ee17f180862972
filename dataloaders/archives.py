"""Downloads of data sets."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aotlab.utils.downloads import download
from aotlab.utils.errors import InputError
from aotlab.utils.files import reading, temporary_name


@dataclass(frozen=True)
class Archive:
    """A zip file with the folder of a data set at its top."""

    address: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256."""
    frames: Mapping[str, int]
    """Number of frames of the splits that benchmarks read, by name."""


def download_dataset(archive: Archive, folder: Path) -> None:
    """Download an archive and unpack it as ``folder``, which must not exist; the same call resumes.

    Raises:
        InputError: the file cannot be downloaded or unpacked, or has another digest.
    """
    file = download(archive.address, folder.with_name(Path(urlsplit(archive.address).path).name), digest=archive.digest)
    temporary = folder.with_name(temporary_name(folder))
    try:
        with reading(file, "delete it, and repeat the command", zipfile.BadZipFile), zipfile.ZipFile(file) as content:
            content.extractall(temporary)
            entries = list(temporary.iterdir())
            if len(entries) != 1:
                raise InputError("expected one folder at the top", subject=file)
            os.replace(entries[0], folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    file.unlink()
