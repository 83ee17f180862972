"""Loaders of trackers by name: published weights, downloaded on first use, or local files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aotlab import InputError, load_model, sdk

if TYPE_CHECKING:
    from aotlab_trackers.authors import AuthorsTracker
    from aotlab_trackers.cutie import CutieTracker
    from aotlab_trackers.sam import SamSegmenter, SamTracker

log = logging.getLogger("aotlab.trackers")

HUB_FILES = ("*.json", "*.safetensors")
"""Files of a model on the Hugging Face Hub, without copies in other formats."""
REPOSITORIES = {
    **{f"sam2_hiera_{size}": f"facebook/sam2-hiera-{size.replace('_', '-')}" for size in
       ("tiny", "small", "base_plus", "large")},
    **{f"sam2.1_hiera_{size}": f"facebook/sam2.1-hiera-{size.replace('_', '-')}" for size in
       ("tiny", "small", "base_plus", "large")},
    "sam3": "facebook/sam3",
    "edgetam": "yonigozlan/EdgeTAM-hf",
}  # fmt: skip
"""Published weights on the Hugging Face Hub."""
LICENSES = {"sam2": "Apache-2.0", "sam3": "SAM License; accept it on the model's page", "edgetam": "Apache-2.0"}
"""License of the weights by family."""
CUTIE_ADDRESS = "https://github.com/hkchengrex/Cutie/releases/download/v1.0/{}"
CUTIE_FILES = {"cutie_base": "cutie-base-mega.pth", "cutie_small": "cutie-small-mega.pth"}
CUTIE_LICENSE = "MIT"
AUTHORS_MODELS = (
    "aott", "aots", "aotb", "aotl", "r50_aotl", "r101_aotl", "rs101_aotl", "swinb_aotl",
    "deaott", "deaots", "deaotb", "deaotl", "r50_deaotl", "swinb_deaotl",
)  # fmt: skip
"""Presets that the authors' code has."""
LIMITS = "an interrupted run starts again; no soft edges, cuts, training or export"
"""Capabilities of aotlab's models that these trackers lack."""


class SamLoader:
    """Loader of SAM 2, SAM 3's tracker or EdgeTAM.

    ``checkpoint`` is a key of `REPOSITORIES`, or ``sam2:``, ``sam3:`` or ``edgetam:`` with OWNER/NAME on the Hub or a
    folder of `save_pretrained`.
    """

    settings = ("compute.precision", "compute.compile")
    descriptions: ClassVar = {
        name: f"license {LICENSES[family]}; {REPOSITORIES.get(name, 'sam2:OWNER/NAME or a folder')}; {LIMITS}"
        for name in ("sam2", *REPOSITORIES)
        for family in LICENSES
        if name.startswith(family)
    }
    """Lines of ``aotlab weights`` by name."""

    def __init__(self, checkpoint: str, settings: Mapping[str, Any], device: str) -> None:
        self._settings, self._device = dict(settings), device
        self._family, self._address = resolve_sam(checkpoint)
        _require_library("transformers", "sam", checkpoint)

    def fingerprint(self, digests: sdk.InputDigests | None = None) -> dict[str, Any]:
        """Return the digest of the model's files, the settings and the library's version."""
        folder = fetch_model(self._family, self._address)
        files = sorted(path for pattern in HUB_FILES for path in folder.glob(pattern))
        digest = (digests or sdk.InputDigests()).digest(folder, files)
        return describe(self._family, digest, self._settings, "transformers")

    def load(self) -> SamTracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        from aotlab_trackers.sam import SamTracker, read_model

        model, processor = read_model(self._family, fetch_model(self._family, self._address), video=True)
        return SamTracker(
            model, processor, device=self._device, precision=self._settings.get("compute.precision", "float32"),
            compile=self._settings.get("compute.compile", False), segmenter=self.load_segmenter(),
        )  # fmt: skip

    def load_segmenter(self) -> SamSegmenter:
        """Return the segmenter of the same weights, which are read at the first prompt."""
        from aotlab_trackers.sam import SamSegmenter, read_model

        def load() -> tuple[Any, Any]:
            return read_model(self._family, fetch_model(self._family, self._address), video=False)

        return SamSegmenter(load, device=self._device)


class CutieLoader:
    """Loader of Cutie: ``cutie_base``, ``cutie_small``, or one of them with a file: ``cutie_base:FILE``."""

    settings = ("compute.precision", "compute.compile", "input.max_short_edge")
    descriptions: ClassVar = {
        name: f"license {CUTIE_LICENSE}; {file} of hkchengrex/Cutie; prompts by the bundled segmenter; {LIMITS}"
        for name, file in CUTIE_FILES.items()
    }
    """Lines of ``aotlab weights`` by name."""

    def __init__(self, checkpoint: str, settings: Mapping[str, Any], device: str) -> None:
        self._settings, self._device = dict(settings), device
        self._name, _, self._file = checkpoint.partition(":")
        _require_library("cutie", "cutie", checkpoint)

    def fingerprint(self, digests: sdk.InputDigests | None = None) -> dict[str, Any]:
        """Return the digest of the weights, the settings and the library's version."""
        digest = (digests or sdk.InputDigests()).digest(self._find_file())
        return describe(self._name, digest, self._settings, "rf-cutie")

    def load(self) -> CutieTracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        from aotlab_trackers.cutie import SHORT_EDGE, CutieTracker, build_network, load_weights, make_config

        config = make_config(
            self._name.removeprefix("cutie_"), short_edge=self._settings.get("input.max_short_edge", SHORT_EDGE)
        )
        network = build_network(config)
        load_weights(network, self._find_file())
        return CutieTracker(
            network, config, device=self._device, precision=self._settings.get("compute.precision", "float32"),
            compile=self._settings.get("compute.compile", False),
        )  # fmt: skip

    def _find_file(self) -> Path:
        """Return the file of the weights, downloaded on first use."""
        if self._file:
            return Path(self._file).expanduser()
        from torch.hub import download_url_to_file

        file = CUTIE_FILES[self._name]
        path, address = sdk.cache_folder() / "trackers" / file, CUTIE_ADDRESS.format(file)
        if not path.is_file():
            log.info("%s: downloading %s (license %s)", self._name, address, CUTIE_LICENSE)
            path.parent.mkdir(parents=True, exist_ok=True)
            with sdk.reading(address, f"check the network, or put the file at {path}", Exception):
                download_url_to_file(address, str(path))  # under a temporary name, renamed when complete
        return path


class AuthorsLoader:
    """Loader of the authors' own code: ``authors:MODEL:CHECKPOINT``, such as ``authors:r50_deaotl:r50_deaotl``.

    MODEL is one of `AUTHORS_MODELS`, CHECKPOINT what `aotlab.load_model` takes.
    """

    settings = ("memory.every",)
    descriptions: ClassVar = {
        "authors": f"license BSD-3-Clause; the authors' code with any weights of AOT or DeAOT; no forget; {LIMITS}"
    }
    """Line of ``aotlab weights`` by name."""

    def __init__(self, checkpoint: str, settings: Mapping[str, Any], device: str) -> None:
        self._settings, self._device = dict(settings), device
        _, self._model, self._weights = [*checkpoint.split(":", 2), "", ""][:3]
        if self._model not in AUTHORS_MODELS or not self._weights:
            remedy = f"expected authors:MODEL:CHECKPOINT with one of {', '.join(AUTHORS_MODELS)}"
            raise InputError("incomplete or unknown", subject=checkpoint, remedy=remedy)
        if find_spec("aot") is None:
            raise InputError("needs deaotpy", subject=checkpoint, remedy="pip install --no-deps deaotpy")

    def fingerprint(self, digests: sdk.InputDigests | None = None) -> dict[str, Any]:
        """Return the digest of the weights, the settings and the library's version."""
        path = sdk.resolve_checkpoint(self._weights)
        digest = (digests or sdk.InputDigests()).digest(path)
        return describe(f"authors:{self._model}", digest, self._settings, "deaotpy")

    def load(self) -> AuthorsTracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        from aotlab_trackers.authors import AuthorsTracker, build_network, copy_weights

        network, (model, _) = build_network(self._model), load_model(self._weights, config=self._model)
        copy_weights(network, model)
        return AuthorsTracker(network, memory_every=self._settings.get("memory.every"), device=self._device)


def resolve_sam(name: str) -> tuple[str, str]:
    """Return the family of a SAM-like model, and its repository or folder."""
    family, _, address = name.partition(":")
    return family.split("_")[0].split(".")[0], address or REPOSITORIES.get(name, "")


def fetch_model(family: str, address: str) -> Path:
    """Return the folder of a model, downloaded from the Hub on first use."""
    folder = Path(address).expanduser()
    if address and folder.is_dir():
        return folder
    if address.count("/") != 1:
        remedy = f"give {family}:OWNER/NAME or a folder"
        raise InputError("no such folder", subject=f"{family}:{address}", remedy=remedy)
    from huggingface_hub import snapshot_download

    log.info("%s: from the Hugging Face Hub (license %s)", address, LICENSES[family])
    with sdk.reading(address, "check the name, the network and, for gated models, your login", Exception):
        return Path(snapshot_download(address, allow_patterns=[*HUB_FILES]))


def describe(name: str, digest: str, settings: Mapping[str, Any], library: str) -> dict[str, Any]:
    """Return the fingerprint of a tracker."""
    return {
        "weights": {"name": name, "sha256": digest},
        "settings": dict(settings),
        "library": f"{library} {version(library)}",
    }


def _require_library(module: str, extra: str, checkpoint: str) -> None:
    if find_spec(module) is None:
        raise InputError(
            f"needs {module}", subject=checkpoint, remedy=f"pip install './packages/trackers[{extra}]' in a checkout"
        )
