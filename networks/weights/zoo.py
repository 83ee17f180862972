"""Weights by name: published checkpoints, downloaded and converted once.

They are stored in ``weights`` of `cache_folder` as ``<name>.safetensors``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED, BUNDLED_CHECKPOINT, ROOT
from aotlab.networks.weights.published import PublishedWeights, find_published_weights, list_published_weights
from aotlab.utils.downloads import TIMEOUT, download
from aotlab.utils.errors import InputError, require, require_modules, suggest
from aotlab.utils.files import cache_folder, make_folder, reading
from aotlab.utils.locks import locked

if TYPE_CHECKING:
    from aotlab.configs.protocol import MemoryProtocol
    from aotlab.configs.schema import Config
    from aotlab.networks.model import VOSModel

log = logging.getLogger(__name__)

HUB_FILE = "model.safetensors"
"""Checkpoint in a folder of `save_pretrained` or on the Hub."""
HUB_PREFIX = "hf://"
"""Prefix of addresses on the Hugging Face Hub: hf://owner/repository or hf://owner/repository/file."""
ZOO_URL = "https://github.com/yoxu515/aot-benchmark/blob/main/MODEL_ZOO.md"
PRETRAINED_FOLDER = ROOT / "pretrain_models"
"""Folder of the project that may also hold published files."""
LOCK_TIMEOUT = 1800.0
"""Seconds to wait for another process that stores the same weights."""


def weights_folder() -> Path:
    """Return the folder of named weights."""
    return cache_folder() / "weights"


def resolve_checkpoint(checkpoint: str | Path) -> Path:
    """Return the file of a checkpoint: a file, a folder of `save_pretrained`, ``bundled``, hf://OWNER/NAME or a name.

    ``aott_mini``, its preset, is another name of the bundled one.

    Raises:
        InputError: no such file or name, or named weights that cannot be downloaded.
    """
    require(isinstance(checkpoint, str | os.PathLike), "not a path or a name", subject=f"checkpoint {checkpoint!r:.80}")
    name = str(checkpoint)
    if name.startswith(HUB_PREFIX):
        return download_from_hub(name, HUB_FILE)
    is_bundled = name in (BUNDLED, BUNDLED_CHECKPOINT.stem)
    path = BUNDLED_CHECKPOINT if is_bundled else Path(os.path.expanduser(checkpoint))
    for file in (path / HUB_FILE, path):
        if _is_file(file):
            return file
    # names have no suffix; reading them imports YAML
    names = () if path.suffix else tuple(list_published_weights())
    if name in names and not os.path.exists(path):
        return find_weights(name) or download_weights(name)
    remedy = suggest(path.name, (BUNDLED, *names), "give a file, or a name of aotlab weights list")
    raise InputError("no such checkpoint", subject=path, remedy=remedy)


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; raise `InputError` if this user may not enter its folder."""
    with reading(path, "check the permissions of its folder"):
        return path.is_file()


def load_model(
    checkpoint: str | Path,
    *,
    config: str | None = None,
    overrides: Sequence[str] = (),
    protocol: MemoryProtocol = "bounded",
) -> tuple[VOSModel, Config]:
    """Return a model with its weights, in evaluation mode on the CPU, and its settings.

    Args:
        checkpoint: as `resolve_checkpoint`; ``bundled`` is the bundled model.
        config: preset or file of settings instead of the checkpoint's.
        overrides: settings as ``key=value``; a single string is accepted.
        protocol: ``bounded`` for videos of any length: replaces policies without a bound of presets and checkpoints, as
            `apply_protocol`. ``published``: the memory of the paper's benchmarks.

    Raises:
        InputError: the checkpoint or settings cannot be read, or do not fit each other.
    """
    from aotlab.configs.protocol import apply_protocol
    from aotlab.networks.weights.checkpoints import load_checkpoint

    overrides = (overrides,) if isinstance(overrides, str) else overrides
    model, settings = load_checkpoint(resolve_checkpoint(checkpoint), config=config, overrides=overrides)
    bounded = apply_protocol(settings, protocol, config=config, overrides=overrides)
    if settings.memory.policy == "every_nth" and bounded.memory.policy != "every_nth":
        log.warning(
            "%s: memory.policy %s keeps at most %d frames; the paper keeps all (memory.policy=%s)",
            settings.name, bounded.memory.policy, bounded.memory.frames, settings.memory.policy,
        )  # fmt: skip
    return model, bounded


def list_models() -> dict[str, Path]:
    """Return the checkpoints on this machine by name: the bundled one, then downloaded weights."""
    downloaded = {name: find_weights(name) for name in list_published_weights()}
    return {BUNDLED: BUNDLED_CHECKPOINT, **{name: path for name, path in downloaded.items() if path is not None}}


def find_published_file(file: str) -> Path:
    """Return the stored checkpoint with this original file name, or its path in the project's folder."""
    path = PRETRAINED_FOLDER / file
    names = [name for name, entry in list_published_weights().items() if entry.file == file]
    return path if _is_file(path) else next(filter(None, map(find_weights, names)), path)


def find_weights(name: str) -> Path | None:
    """Return the file of named weights; None if not downloaded."""
    path = weights_folder() / f"{find_published_weights(name).name}.safetensors"
    return path if _is_file(path) else None


def download_weights(name: str, *, source: str | None = None, overwrite: bool = False) -> Path:
    """Download and convert named weights, unless they are stored; return the stored file.

    Args:
        name: key of `list_published_weights`.
        source: instead of Google Drive: a URL, file, or hf://owner/repository[/file].
        overwrite: download them again.

    Raises:
        InputError: they cannot be downloaded, are not a checkpoint, or are of another variant.
    """
    entry = find_published_weights(name)
    path = make_folder(weights_folder()) / f"{name}.safetensors"
    with locked(weights_folder() / f".{name}.lock", LOCK_TIMEOUT):
        if not overwrite and _is_file(path):
            if source is not None:
                log.warning("%s: already stored; ignoring %s (--force replaces it)", name, source)
            return path
        target = weights_folder() / f".download.{entry.file}"
        manual_downloads = [folder / entry.file for folder in (weights_folder(), PRETRAINED_FOLDER)]
        if source is not None:
            raw = fetch_file(source, target, hub_file=entry.file)
        else:
            raw = next(filter(_is_file, manual_downloads), None) or _download_from_google_drive(entry, target)
        _convert(entry, raw, path, source or f"Google Drive, file {entry.google_drive}")
        for leftover in weights_folder().glob(f"{target.name}*"):  # also of interrupted downloads
            leftover.unlink(missing_ok=True)
        return path


def fetch_file(address: str, path: Path, *, hub_file: str) -> Path:
    """Return the file at an address, downloaded to ``path`` if it is a URL.

    Args:
        address: http://, https://, file://, hf://owner/repository[/file], or a path.
        hub_file: file to download if a repository's address has no file.
    """
    if address.startswith(HUB_PREFIX):
        return download_from_hub(address, hub_file)
    if not address.startswith(("http://", "https://")):
        return Path(address.removeprefix("file://"))
    return download(address, path)


def download_from_hub(address: str, file: str) -> Path:
    """Return a file of the Hugging Face Hub in its cache; ``file`` is the default name."""
    parts = address.removeprefix(HUB_PREFIX).split("/", 2)
    require_modules("huggingface_hub")
    from huggingface_hub import hf_hub_download

    with reading(address, "check address and network", Exception):  # errors of HTTP libraries have no common class
        return Path(hf_hub_download("/".join(parts[:2]), parts[2] if len(parts) > 2 else file))


def _download_from_google_drive(entry: PublishedWeights, path: Path) -> Path:
    """Download a published file with gdown, which resumes interrupted downloads."""
    require_modules("gdown")
    import gdown

    address = f"Google Drive, file {entry.google_drive}"
    log.info("%s: downloading %s from Google Drive", entry.name, entry.file)
    with reading(address, f"retry, or put {entry.file} of {ZOO_URL} in {weights_folder()}", Exception):  # as above
        gdown.download(id=entry.google_drive, output=str(path), resume=True, use_cookies=False, timeout=TIMEOUT)
    return path


def _convert(entry: PublishedWeights, raw: Path, path: Path, source: str) -> None:
    """Load a published file strictly as this variant and store it; remove a download that fails."""
    from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint

    try:
        model, config = load_checkpoint(raw, config=entry.name)
    except InputError as error:
        if not raw.name.startswith(".download."):
            raise
        raw.unlink(missing_ok=True)
        raise InputError(str(error).replace(str(raw), source)) from error
    save_checkpoint(path, model, config)
