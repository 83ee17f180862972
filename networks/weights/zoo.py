"""Weights by name: published checkpoints, fetched once, converted once, and checked at every load.

They lie in ``$AOTLAB_HOME/weights`` (``~/.cache/aotlab/weights``): ``<name>.safetensors``, and in
``<name>.safetensors.sha256`` what `sha256sum --check` reads.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED, BUNDLED_CHECKPOINT, ROOT
from aotlab.configs.schema import Config
from aotlab.configs.weights import PublishedWeights, published, published_weights
from aotlab.utils.errors import InputError
from aotlab.utils.fetch import HUB, fetch, fetch_from_google_drive, from_hub, remove_parts
from aotlab.utils.files import expand_home, is_file, make_folder, read_text, user_cache, write_text
from aotlab.utils.locks import locked
from aotlab.utils.own_files import sha256

if TYPE_CHECKING:
    from aotlab.networks.vos_model import VOSModel

log = logging.getLogger(__name__)

TIMEOUT = 1800.0
"""seconds to wait for another process that stores the same weights"""
NAME = re.compile("[a-z0-9_]+")
SAVED = "model.safetensors"
"""checkpoint in a folder of `save_pretrained` or on the Hub"""
ZOO = "https://github.com/yoxu515/aot-benchmark/blob/main/MODEL_ZOO.md"
PRETRAINED = ROOT / "pretrain_models"
"""folder of the project that may hold published files too"""


def weights_folder() -> Path:
    """The folder of named weights; raises `InputError` if the user has no home."""
    home = os.environ.get("AOTLAB_HOME")
    return (expand_home(home) if home else user_cache()) / "weights"


def resolve(checkpoint: str | Path) -> Path:
    """Return the file of a checkpoint: a file, a folder of `save_pretrained`, ``bundled``, hf://OWNER/NAME or a name.

    Raises:
        InputError: named weights that cannot be fetched or were changed.
    """
    if str(checkpoint).startswith(HUB):
        return from_hub(str(checkpoint), SAVED)
    path = BUNDLED_CHECKPOINT if str(checkpoint) == BUNDLED else Path(checkpoint)
    if is_file(path / SAVED):
        return path / SAVED
    if (
        os.path.exists(path)
        or not NAME.fullmatch(str(checkpoint))
        or str(checkpoint) not in published_weights()
    ):
        return path
    return weights_path(str(checkpoint)) or get_weights(str(checkpoint))


def load_model(
    checkpoint: str | Path, *, config: str | None = None, overrides: Sequence[str] = ()
) -> tuple[VOSModel, Config]:
    """`load_checkpoint` of a file, a name of published weights or a hf:// address, computed by fast kernels."""
    from aotlab.networks import kernels
    from aotlab.networks.weights.checkpoints import load_checkpoint

    kernels.install()
    return load_checkpoint(resolve(checkpoint), config=config, overrides=overrides)


def list_models() -> dict[str, Path]:
    """Return the checkpoints on this machine by name: the bundled one, then downloaded weights."""
    downloaded = {name: weights_folder() / f"{name}.safetensors" for name in published_weights()}
    return {BUNDLED: BUNDLED_CHECKPOINT, **{name: path for name, path in downloaded.items() if is_file(path)}}


def weights_path(name: str) -> Path | None:
    """The checked file of named weights, None if they were not fetched yet.

    Raises:
        InputError: no such name, or the file is not what was stored.
    """
    published(name)
    path = weights_folder() / f"{name}.safetensors"
    if not is_file(path):
        return None
    if not _as_stored(path):
        with suppress(InputError), locked(_lock(name), TIMEOUT):
            pass  # a process may just be storing it
        _require_as_stored(name, path)
    return path


def get_weights(name: str, *, source: str | None = None, overwrite: bool = False) -> Path:
    """Fetch named weights and convert them, unless they are there; the stored file.

    Args:
        name: of `published_weights`.
        source: in place of Google Drive: a URL, file, or hf://owner/repository[/file].
        overwrite: fetch them again.

    Raises:
        InputError: they cannot be fetched, are no checkpoint, or of another variant.
    """
    entry = published(name)
    make_folder(weights_folder())
    with locked(_lock(name), TIMEOUT):
        path = weights_folder() / f"{name}.safetensors"
        if not overwrite and is_file(path):
            _require_as_stored(name, path)
            return path
        raw, fetched = _raw_file(entry, source)
        try:
            path = _convert(entry, raw, source or f"Google Drive, file {entry.google_drive}")
        finally:
            if fetched:
                raw.unlink(missing_ok=True)
        remove_parts(_fetched(entry))
        return path


def _lock(name: str) -> Path:
    """The file that a process has locked while it fetches named weights."""
    return weights_folder() / f".{name}.lock"


def _as_stored(path: Path) -> bool:
    """Whether a file's content is what its record says."""
    try:
        return read_text(_record(path), "fetch the weights again").split()[:1] == [sha256(path)]
    except InputError:
        return False


def _require_as_stored(name: str, path: Path) -> None:
    if not _as_stored(path):
        raise InputError(
            f"{path}: not what was stored when it was fetched; run aotlab weights get {name} --force"
        )


def _fetched(entry: PublishedWeights) -> Path:
    """The path of the published file until it is converted."""
    return weights_folder() / f".fetched.{entry.file}"


def _raw_file(entry: PublishedWeights, source: str | None) -> tuple[Path, bool]:
    """The published file, and whether it was fetched just now, as none was put here by hand."""
    folder = weights_folder()
    if source is None:
        for path in (folder / entry.file, PRETRAINED / entry.file):
            if is_file(path):
                return path, False
    path = _fetched(entry)
    try:
        if source is None:
            log.info("%s: fetching %s from Google Drive", entry.name, entry.file)
            fetch_from_google_drive(entry.google_drive, path)
        else:
            fetch(source, path, hub_file=entry.file)
    except InputError as error:
        raise InputError(
            f"{entry.name}: {error}; or get {entry.file} from {ZOO} and put it at {folder / entry.file}"
        ) from error
    return path, True


def _convert(entry: PublishedWeights, raw: Path, source: str) -> Path:
    """Load the published file strictly as this variant and store it with its digest."""
    from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint

    with raw.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise InputError(
            f"{entry.name}: a web page came from {source} in place of the file; try later, or get {entry.file} from "
            f"{ZOO} and put it at {weights_folder() / entry.file}"
        )
    if start.startswith(b"{") or start[8:9] == b"{":
        raw = raw.rename(raw.with_suffix(".safetensors"))
    try:
        model, config = load_checkpoint(raw, config=entry.name)
    except InputError as error:
        raise InputError(f"{entry.name}: {str(error).replace(str(raw), source)}") from error
    finally:
        if raw.name.startswith(".fetched.") and raw.suffix == ".safetensors":
            raw.unlink(missing_ok=True)
    path = weights_folder() / f"{entry.name}.safetensors"
    _record(path).unlink(missing_ok=True)
    save_checkpoint(path, model, config)
    write_text(_record(path), f"{sha256(path)}  {path.name}\n")
    return path


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
