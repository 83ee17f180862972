"""Entry points of ``torch.hub``: ``torch.hub.load("OWNER/REPOSITORY", "tracker", "r50_deaotl")``."""

from pathlib import Path

import aotlab

dependencies = ["torch", "torchvision", "timm", "numpy", "PIL", "omegaconf", "safetensors"]

# The folders of a checkout are subpackages of aotlab by its setup alone, and torch.hub installs nothing.
_ROOT = str(Path(__file__).resolve().parent)
if _ROOT not in aotlab.__path__:
    aotlab.__path__.append(_ROOT)


def tracker(name=None, *, overrides=(), device="cpu"):
    """A `Tracker` of named weights, a checkpoint file, or without a name the bundled model."""
    from aotlab.engine.tracker import Tracker

    return Tracker.from_pretrained(name, overrides=overrides, device=device)


def model(name=None, *, overrides=()):
    """The `VOSModel` of named weights, a checkpoint file, or without a name the bundled model."""
    from aotlab.engine.tracker import BUNDLED_CHECKPOINT
    from aotlab.networks.checkpoints import load_checkpoint

    return load_checkpoint(Path(name or BUNDLED_CHECKPOINT), overrides=overrides)[0]
