"""Faster models: `optimize` for tracking, `optimize_training` for training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from aotlab.configs.schema import ComputeConfig
from aotlab.networks.attention import Attention, LocalAttention, global_attention
from aotlab.networks.fast.attention import chunked_attention, dense_attention, tiled_local_attention
from aotlab.networks.fast.convolutions import (
    fold_training_norms,
    fuse_encoders,
    replace_convolutions,
    train_convolutions,
)
from aotlab.networks.model import VOSModel

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)


def optimize(
    model: VOSModel, *, device: str | torch.device = "cpu", precision: str = "auto", compile: bool = False
) -> VOSModel:
    """Return a fused copy of a model for tracking on a device; the input is not modified.

    Norms are folded, activations and sums fused into convolutions, weights cast once, attention computed by the kernel
    that fits the processor. Masks agree with the model's up to rounding. The copy cannot be saved.

    Args:
        precision: float32, bfloat16, float16 or auto; see `resolve_precision`.
        compile: whether to compile encoder, blocks and decoder with torch.compile, which pays off on CUDA.
    """
    if is_optimized(model):
        raise ValueError("the model is optimized already")
    model = optimize_network(model, torch.device(device), precision)
    if compile:
        compile_parts(model)
    model.is_optimized = True  # type: ignore[assignment]
    return model


def is_optimized(model: VOSModel) -> bool:
    """Return whether a model is a copy by `optimize`, whose weights are fused and cannot be saved."""
    return getattr(model, "is_optimized", False)


def optimize_network(network: Network, device: torch.device, precision: str) -> Network:
    """Return a copy of any network with the modules of `optimize`."""
    dtype = getattr(torch, resolve_precision(precision, device))
    network = deepcopy(network).eval().requires_grad_(False)
    # channels_last makes map_to_tokens a view
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fuse_encoders(network)
    if device.type == "cpu":
        replace_convolutions(network)
    select_kernels(network, device, dtype)
    return network.to(device, dtype)


def prepare_for_tracking(
    model: VOSModel, compute: ComputeConfig, device: torch.device, *, fuse: bool
) -> tuple[VOSModel, str]:
    """Return a model on a device, in evaluation mode, and the precision of its autocast.

    Args:
        model: an optimized model is returned as it is.
        fuse: whether to return a copy by `optimize` instead of the model itself.
    """
    if is_optimized(model):
        return model, "float32"
    precision = resolve_precision(compute.precision, device)
    if fuse:
        return optimize(model, device=device, precision=precision, compile=compute.compile), "float32"
    model = model.to(device).eval()
    if compute.compile:
        compile_parts(model)
    return model, precision


def optimize_training(model: VOSModel) -> None:
    """Make a model's training steps faster on its device, in place; parameters, buffers and their names are kept.

    Frozen norms scale the kernel of the convolution before them, and local attention runs in tiles. CPUs compute
    attention as matrix products, and some depthwise convolutions in float32.
    """
    set_kernel(model, LocalAttention, tiled_local_attention)
    if next(model.parameters()).is_cpu:
        set_kernel(model, Attention, dense_attention)
        train_convolutions(model)
    fold_training_norms(model.encoder)


def set_kernel(network: nn.Module, kind: type[Attention] | type[LocalAttention], kernel: Callable[..., Tensor]) -> None:
    """Let all attentions of a kind compute with another kernel, in place."""
    for module in network.modules():
        if isinstance(module, kind):
            module.kernel = kernel


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision; auto means bfloat16 if the processor supports it in hardware, else float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        hardware = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        hardware = device.type == "cpu" and (has_amx() or torch.cpu._is_avx512_bf16_supported())
    return "bfloat16" if hardware else "float32"


def has_amx() -> bool:
    """Return whether the processor multiplies bfloat16 matrices in tiles (AMX)."""
    return torch.cpu._is_amx_tile_supported()


def select_kernels(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Let attentions compute with the fastest kernels on a device, in place."""
    set_kernel(network, LocalAttention, tiled_local_attention)
    # PyTorch's fused attention on CPUs is slow for values wider than keys (DeAOT's one head), and in bfloat16 on
    # processors without AMX, where it does not use AVX512-BF16
    is_slow = dtype == torch.bfloat16 and not has_amx()
    for module in network.modules():
        if isinstance(module, Attention):
            is_chunked = device.type == "cpu" and (module.heads == 1 or is_slow)
            module.kernel = chunked_attention if is_chunked else global_attention


def compile_parts(model: VOSModel, *, dynamic: bool | None = None) -> None:
    """Pass encoder, blocks and decoder to torch.compile, which compiles when they first run."""
    log.info("compiling the model: the first frames take minutes")
    for name in ("torch._dynamo", "torch._inductor"):  # their warnings
        logging.getLogger(name).setLevel(logging.ERROR)
    parts: list[nn.Module] = [model.encoder, *chain(*model.stage_blocks), model.decoder]
    for part in dict.fromkeys(parts):  # a block may be shared
        part.compile(dynamic=dynamic)
