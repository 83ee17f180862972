"""Faster kernels of the model's operations on CPUs, and their choice per machine; importing it adds them."""

from __future__ import annotations

from collections.abc import Mapping

from aotlab.networks import operations
from aotlab.networks.kernels import (
    convolutions,
    depthwise,
    global_attention,
    local_attention,
    products,
    resizing,
    windows,
)
from aotlab.networks.kernels.tuning import machine_chooser
from aotlab.networks.operations import PLAIN, Choices

__all__ = ["OPERATIONS", "SETS", "install"]

OPERATIONS = {
    operation.name: operation
    for operation in (
        products.linear, products.batch, convolutions.convolution, depthwise.depthwise, global_attention.attention,
        local_attention.local_attention, windows.windows, windows.spread, resizing.resize,
    )
}  # fmt: skip
"""all operations with several kernels, by name"""
SETS: Mapping[str, Choices] = {
    "plain": dict.fromkeys(OPERATIONS, PLAIN),
    "convolutions": {
        "linear": "convolution", "convolution": "dilated", "depthwise": "convolved", "attention": "convolution",
        "batch": "convolution",
    },
    "onednn": {"convolution": "joined", "attention": "onednn", "batch": "onednn", "resize": "by_axis"},
    "exportable": {
        **dict.fromkeys(OPERATIONS.keys() - {"local_attention"}, PLAIN),
        "attention": "fused", "windows": "padded", "spread": "padded",
    },
}  # fmt: skip
"""choices by name, to force; exportable: kernels of operations that every runtime has"""


def install() -> None:
    """Let this process choose kernels as the environment variable ``AOTLAB_TUNE`` says; see `tuning`."""
    operations.install(machine_chooser())
