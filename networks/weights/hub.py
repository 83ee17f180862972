"""Models on the Hugging Face Hub: `save_pretrained`, `push_to_hub` and `from_pretrained`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download
from typing_extensions import Self

from aotlab.configs.schema import Config
from aotlab.networks.vos_model import VOSModel
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint

FILE = "model.safetensors"
"""one of our checkpoints, with all settings inside"""


class HubModel(ModelHubMixin, library_name="aotlab", tags=["video-object-segmentation"]):
    """A model with its settings, as the Hub's mixin saves and loads it: a folder with one of our checkpoints.

    >>> HubModel(*load_model("r50_deaotl")).push_to_hub("owner/repository")
    >>> model = HubModel.from_pretrained("owner/repository").model
    """

    def __init__(self, model: VOSModel, settings: Config) -> None:
        self.model, self.settings = model, settings

    def _save_pretrained(self, save_directory: Path) -> None:
        save_checkpoint(save_directory / FILE, self.model, self.settings)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """Load the checkpoint of a folder or repository, strictly."""
        path = Path(model_id) / FILE
        if not path.is_file():
            known = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            given: dict[str, Any] = {key: options[key] for key in known if key in options}
            path = Path(hf_hub_download(model_id, FILE, **given))
        return cls(*load_checkpoint(path))
