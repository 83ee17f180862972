"""`save_pretrained`, `push_to_hub` and `from_pretrained` of a model, in the way of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import ModelHubMixin, hf_hub_download

from aotlab.configs.schema import Config

FILE = "model.safetensors"
"""one of our checkpoints, with all settings inside"""

Model = TypeVar("Model", bound="HubModel")


class HubModel(
    ModelHubMixin,
    library_name="aotlab",
    tags=["video-object-segmentation"],
):
    """What the Hub's mixin asks of a model: a folder with one of our checkpoints."""

    settings: Config | None = None
    """those the model was loaded or trained with, which go with it; None: the model's alone are known"""

    def _save_pretrained(self, save_directory: Path) -> None:
        from aotlab.networks.weights.checkpoints import save_checkpoint

        config: Any = self.config  # type: ignore[attr-defined]
        save_checkpoint(save_directory / FILE, self, self.settings or Config(model=config))  # type: ignore[arg-type]

    @classmethod
    def _from_pretrained(cls: type[Model], *, model_id: str, **options: Any) -> Model:
        """Load the checkpoint of a folder or repository, strictly."""
        from aotlab.networks.weights.checkpoints import load_checkpoint

        path = Path(model_id) / FILE
        if not path.is_file():
            known = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            given: dict[str, Any] = {key: options[key] for key in known if key in options}
            path = Path(hf_hub_download(model_id, FILE, **given))
        model: Any = load_checkpoint(path)[0]
        return model  # type: ignore[no-any-return]
