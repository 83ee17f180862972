"""Models on the Hugging Face Hub: `save_pretrained`, `push_to_hub` and `from_pretrained`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import Self

from aotlab.configs.schema import Config
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab.networks.weights.zoo import HUB_FILE
from aotlab.utils.errors import InputError, describe_missing_module
from aotlab.utils.files import write_json

try:
    import huggingface_hub
    from huggingface_hub import ModelHubMixin, hf_hub_download
except ModuleNotFoundError as error:
    raise InputError(describe_missing_module(error.name or "") or error) from error

CARD_TEMPLATE = Path(__file__).with_name("card.md")
"""Template of the model card of a repository."""


class HubModel(ModelHubMixin, library_name="aotlab", tags=["video-object-segmentation"]):
    """A model with its settings, which the Hub's mixin saves and loads as a folder with one of our checkpoints.

    >>> HubModel(*load_model("r50_deaotl", protocol="published")).push_to_hub("owner/repository")
    >>> model = HubModel.from_pretrained("owner/repository").model
    """

    def __init__(self, model: VOSModel, settings: Config) -> None:
        self.model, self.settings = model, settings

    def _save_pretrained(self, save_directory: Path) -> None:
        save_checkpoint(save_directory / HUB_FILE, self.model, self.settings)
        # otherwise the mixin writes all settings, and passes them to `_from_pretrained`
        write_json(save_directory / "config.json", self.settings.model.model_dump(), indent=2)

    def generate_model_card(self, *_: Any, **__: Any) -> huggingface_hub.ModelCard:
        """Return the card of this model."""
        card: huggingface_hub.ModelCard = huggingface_hub.ModelCard.from_template(
            self._hub_mixin_info.model_card_data, template_path=str(CARD_TEMPLATE), name=self.settings.name,
            method=self.settings.model.method, encoder=self.settings.model.encoder,
        )  # fmt: skip
        return card

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """Load the checkpoint of a folder or repository; ``options`` are those of the Hub's client."""
        path = Path(model_id) / HUB_FILE
        return cls(*load_checkpoint(path if path.is_file() else Path(hf_hub_download(model_id, HUB_FILE, **options))))
