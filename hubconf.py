"""Entry points of ``torch.hub``: ``torch.hub.load("OWNER/REPOSITORY", "tracker", "r50_deaotl")``."""

import sys
from pathlib import Path

dependencies = [
    "torch", "torchvision", "numpy", "PIL", "safetensors", "yaml", "pydantic", "filelock", "platformdirs", "click",
    "lazy_loader", "typing_extensions",
]  # fmt: skip

# torch.hub installs nothing, and its archive has no links in src/aotlab
root = Path(__file__).resolve().parent
sys.path.insert(0, str(root / "src"))
import aotlab  # noqa: E402

aotlab.__path__.append(str(root))


def tracker(name="bundled", *, overrides=(), device="auto"):
    """A `Tracker` of named weights or a checkpoint file."""
    from aotlab import Tracker

    return Tracker.from_pretrained(name, overrides=overrides, device=device)


def model(name="bundled", *, overrides=()):
    """The `VOSModel` of named weights or a checkpoint file."""
    from aotlab import load_model

    return load_model(name, overrides=overrides)[0]
