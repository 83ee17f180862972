"""Encoders of timm: any with feature maps at strides 4, 8 and 16 (``model.encoder=timm:NAME``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from timm import create_model
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn

from aotlab.networks.encoders import Encoder
from aotlab.utils.errors import InputError, require

STRIDES = (4, 8, 16)
PROBE_SIZE = 65, 49
"""Height and width of an image that no stride divides."""


class TimmEncoder(Encoder):
    """Features of a timm model up to stride 16; the last map is returned twice. Images get ImageNet's normalization."""

    def __init__(self, name: str) -> None:
        """Build a model with random weights.

        Raises:
            InputError: timm has no such model, or it has no maps at these strides for images of any size.
        """
        super().__init__()
        self.name = name
        subject = f"model.encoder timm:{name}"
        try:
            strides: list[int] = create_features(name).feature_info.reduction()
        except (RuntimeError, AttributeError) as error:  # no such model; no features
            raise InputError(str(error), subject=subject, remedy="see timm.list_models(features_only=True)") from error
        missing = [str(stride) for stride in STRIDES if stride not in strides]
        found = f"has no maps at stride {', '.join(missing)}, only at {', '.join(map(str, strides))}"
        require(not missing, found, subject=subject, remedy="choose one with strides 4, 8 and 16")
        self.out_indices = [strides.index(stride) for stride in STRIDES]
        self.net = freeze_batch_norm_2d(self._create())
        info: Any = self.net.feature_info
        widths = info.channels()
        self.channels = (*widths, widths[-1])
        self.channels_last = str(getattr(self.net, "output_fmt", "NCHW")).endswith("NHWC")
        self.stage_names = [_flat_name(module) for module in info.module_name()]
        self.pads = False
        """Pad images to multiples of 16 pixels, for models whose patches do not overlap."""
        self.pads = not self._fits()
        require(not self.pads or self._fits(), "needs images of one size", subject=subject, remedy="choose another")

    @torch.no_grad()
    def _fits(self) -> bool:
        """Return whether an image of any size gives maps whose sides are rounded up."""
        height, width = PROBE_SIZE
        mode = self.training
        try:
            maps = self.eval()(torch.zeros(1, 3, height, width))
        except (AssertionError, RuntimeError):
            return False
        finally:
            self.train(mode)
        sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
        return [tuple(x.shape[2:]) for x in maps[:3]] == sizes

    @property
    def freezable_parts(self) -> list[nn.Module]:
        """Parts in order: what is before the stage at stride 4, then the layers up to each stride."""
        parts, index = [nn.ModuleList() for _ in range(1 + len(STRIDES))], len(STRIDES)
        for name, module in reversed([*self.net.named_modules()]):
            if any(True for _ in module.parameters(recurse=False)):
                matches = [_flat_name(name).startswith(stage) for stage in self.stage_names]
                index = 1 + matches.index(True) if any(matches) else index
                parts[index if index > 1 or matches[0] else 0].append(module)
        return [*parts]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map B×3×H×W to maps at strides 4, 8 and 16, B×C×h×w, and the last one again."""
        height, width = image.shape[2:]
        if self.pads:
            image = F.pad(image, (0, -width % 16, 0, -height % 16))
        maps = [x.permute(0, 3, 1, 2) if self.channels_last else x for x in self.net(image)]
        if self.pads:
            sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
            maps = [x[..., :rows, :columns] for x, (rows, columns) in zip(maps, sizes, strict=True)]
        return [*maps, maps[-1]]

    def load_pretrained(self, weights: Mapping[str, Tensor] | None) -> None:
        """Load a state dict of the whole timm model, or timm's pretrained weights, which it downloads (None).

        Raises:
            ValueError: a weight is missing.
        """
        source = None if weights is None else {"state_dict": dict(weights)}
        net = self._create(pretrained=True, pretrained_cfg_overlay=source)
        state = freeze_batch_norm_2d(net).state_dict()
        # timm loads what it finds: weights that are still random differ from those of another model
        other = {} if source is None else self._create(pretrained=True, pretrained_cfg_overlay=source).state_dict()
        missing = [key for key, x in state.items() if key in other and not torch.equal(other[key], x)]
        if missing:
            raise ValueError(f"{len(missing)} weights are missing, such as {missing[0]}")
        self.net.load_state_dict(state)

    def _create(self, **options: Any) -> Any:
        return create_features(self.name, out_indices=self.out_indices, **options)


def create_features(name: str, **options: Any) -> Any:
    """Return timm's model as a network of feature maps, for images of any size if it has that option."""
    try:
        return create_model(name, features_only=True, strict_img_size=False, **options)
    except TypeError:  # unknown argument
        return create_model(name, features_only=True, **options)


def _flat_name(name: str) -> str:
    """Return the name of a module as timm writes it if it flattens layers, with an end: ``stages_0_``."""
    return f"{name.replace('.', '_')}_"
