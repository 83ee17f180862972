"""Faster models: `optimize` for tracking, `optimize_training` for training."""

from __future__ import annotations

import logging
from copy import deepcopy
from itertools import chain
from typing import TypeVar

import torch
from torch import nn

from aotlab.configs.schema import ComputeConfig
from aotlab.networks.attention import Attention, LocalAttention
from aotlab.networks.fast.attention import ChunkedAttention, DenseAttention, DenseLocalAttention, TiledLocalAttention
from aotlab.networks.fast.convolutions import TrainedConv2d, fold_training_norms, fuse_encoders, to_onednn
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
    if model.fused:
        raise ValueError("the model is fused already")
    model = optimize_network(model, torch.device(device), precision)
    if compile:
        compile_parts(model)
    model.fused = True
    return model


def optimize_network(network: Network, device: torch.device, precision: str) -> Network:
    """Return a copy of any network with the modules of `optimize`."""
    dtype = getattr(torch, resolve_precision(precision, device))
    network = deepcopy(network).eval().requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # tokens are views of maps
    fuse_encoders(network)
    replace_modules(network, device, dtype)
    return network.to(device, dtype)


def prepare_for_tracking(
    model: VOSModel, compute: ComputeConfig, device: torch.device, *, fuse: bool
) -> tuple[VOSModel, str]:
    """Return a model on a device, in evaluation mode, and the precision of its autocast.

    Args:
        model: a fused model is returned as it is.
        fuse: whether to return a copy by `optimize` instead of the model itself.
    """
    if model.fused:
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
    fold_training_norms(model.encoder)
    replace_local_attention(model)
    if next(model.parameters()).is_cpu:
        for module in model.modules():  # classes are assigned as in `replace_local_attention`
            if type(module) is Attention:
                module.__class__ = DenseAttention
            elif type(module) is nn.Conv2d and module.padding_mode == "zeros":
                module.__class__ = TrainedConv2d


def replace_local_attention(model: nn.Module, replacement: type[DenseLocalAttention] = TiledLocalAttention) -> None:
    """Replace local attention with a faster class, in place.

    Assigning ``__class__`` keeps parameters, their names and hooks, because the faster class differs only in `forward`.
    """
    for module in model.modules():
        if type(module) is LocalAttention:
            module.__class__ = replacement


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


def replace_modules(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Replace attentions, and on a CPU convolutions, with faster ones, in place."""
    replace_local_attention(model)
    if device.type != "cpu":
        return
    # PyTorch's fused attention on CPUs is slow for values wider than keys (DeAOT's one head), and in bfloat16 on
    # processors without AMX, where it does not use AVX512-BF16
    use_chunked_attention = dtype == torch.bfloat16 and not has_amx()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Attention) and type(child) in (Attention, DenseAttention):
                is_chunked = child.heads == 1 or use_chunked_attention
                child.__class__ = ChunkedAttention if is_chunked else Attention  # as in `replace_local_attention`
            elif (
                isinstance(child, nn.Conv2d)
                and type(child) in (nn.Conv2d, TrainedConv2d)
                and child.padding_mode == "zeros"
            ):
                setattr(parent, name, to_onednn(child))


def compile_parts(model: VOSModel, *, dynamic: bool | None = None) -> None:
    """Pass encoder, blocks and decoder to torch.compile, which compiles when they first run."""
    log.info("compiling the model: the first frames take minutes")
    for name in ("torch._dynamo", "torch._inductor"):  # their warnings
        logging.getLogger(name).setLevel(logging.ERROR)
    parts: list[nn.Module] = [model.encoder, *chain(*model.stage_blocks), model.decoder]
    for part in dict.fromkeys(parts):  # a block may be shared
        part.compile(dynamic=dynamic)
