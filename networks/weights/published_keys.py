"""Mapping of the keys of published AOT checkpoints and ImageNet weights to the names of our modules."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from aotlab.configs.files import list_presets

# ours to published, applied in order
BLOCK_RULES = [
    (r"\.self_attention\.query_key\.", ".self_attn.linear_QK."),
    (r"\.self_attention\.visual_value\.", ".self_attn.linear_V1."),
    (r"\.self_attention\.id_value\.", ".self_attn.linear_V2."),
    (r"\.self_attention\.visual_gate\.", ".self_attn.linear_U1."),
    (r"\.self_attention\.id_gate\.", ".self_attn.linear_U2."),
    (r"\.self_attention\.output\.conv\.", ".self_attn.dw_conv.conv."),
    (r"\.self_attention\.output\.", ".self_attn."),
    (r"\.self_attention\.query\.", ".self_attn.linear_Q."),
    (r"\.self_attention\.key\.", ".self_attn.linear_K."),
    (r"\.self_attention\.value\.", ".self_attn.linear_V."),
    (r"\.self_attention\.", ".self_attn."),
    (r"\.(long|short)_output\.conv\.", r".\1_term_attn.dw_conv.conv."),
    (r"\.(long|short)_output\.projection\.", r".\1_term_attn.projection."),
    (r"\.(long|short)_projection\.", r".\1_term_attn.projection."),
    (r"\.short_attention\.relative_key\.", ".short_term_attn.relative_emb_k."),
    (r"\.short_attention\.relative_value", ".short_term_attn.relative_emb_v"),
    (r"\.id_key_value\.", ".linear_ID_KV."),
    (r"\.key_value\.", ".linear_QV."),
    (r"\.gate\.", ".linear_U."),
    (r"\.id_gate\.", ".linear_ID_U."),
    (r"\.id_value\.", ".linear_ID_V."),
    (r"\.query\.", ".linear_Q."),
    (r"\.value\.", ".linear_V."),
    (r"\.short_key\.", ".linear_QMem."),
    (r"\.short_value\.", ".linear_VMem."),
    (r"\.short_norm\.", ".norm4."),
    (r"\.feedforward\.expand\.", ".linear1."),
    (r"\.feedforward\.reduce\.", ".linear2."),
    (r"\.feedforward\.norm\.", ".activation.gn."),
    (r"\.feedforward\.conv\.", ".activation.conv."),
]
"""Rules within a block."""
RULES = [
    (r"^projector\.", "encoder_projector."),
    (r"^identity_bank\.", "patch_wise_id_bank."),
    (r"^identity_norm\.", "id_norm."),
    (r"^norms\.", "LSTT.decoder_norms."),
    (r"^norm\.", "LSTT.decoder_norms.0.gn."),
    (r"^conv_in\.", "decoder.conv_in."),
    (r"^blocks\.", "LSTT.layers."),
    (r"^temporal\.query", "cur_pos_emb"),
    (r"^temporal\.memory", "mem_pos_emb"),
    (r"^encoder\.norms\.(\d)\.", r"encoder.norm\1."),
    (r"^encoder\.downsamples\.(\d)\.", r"encoder.layers.\1.downsample."),
    (r"^encoder\.layers\.(\d)\.(\d+)\.", r"encoder.layers.\1.blocks.\2."),
]
MSDEAOT_RULES = [
    (r"^blocks16\.", "LSTT.layers."),
    (r"^blocks8\.0\.", "LSTT.layer_s8."),
    (r"^identity_bank16\.", "patch_wise_id_bank."),
    (r"^identity_bank8\.", "patch_wise_id_bank_s8."),
    (r"^identity_norm16\.", "id_norm."),
    (r"^identity_norm8\.", "id_norm_s8."),
    (r"^norm\.", "LSTT.decoder_norms_s4.0.gn."),
    (r"^transition(\d)\.", r"LSTT.s\1_"),
    (r"^(LSTT\.s\d_)adapter\.", r"\1proj."),
    (r"^(LSTT\.s\d_)proj_in\.0\.", r"\1cons_in."),
    (r"^(LSTT\.s\d_)proj_in\.1\.", r"\1cons_in_id."),
    (r"^(LSTT\.s\d_)refine\.0\.", r"\1cons_out."),
    (r"^(LSTT\.s\d_)refine\.1\.", r"\1cons_out_id."),
]
PYRAMID_RULES = [
    (r"^projector\.", "adapters.0."),
    (r"^stages\.(\d)\.identity_bank\.", r"patch_wise_id_banks.\1."),
    (r"^stages\.(\d)\.identity_norm\.", r"id_norms.\1."),
    (r"^stages\.(\d)\.transition\.adapter\.", r"adapters.\1."),
    (r"^stages\.(\d)\.blocks\.", r"MSLSTT.layers_list.\1."),
]
DECODER_RULES = [(r"^decoder\.conv_out_hidden\.", "conv_output1."), (r"^decoder\.conv_out\.", "conv_output2.")]

UNUSED_SUFFIXES = ("mask_token", ".linear_KMem.weight", ".linear_KMem.bias")
"""Endings of parameters of published checkpoints that their code does not use."""
UNUSED_PREFIXES = ("decoder.", "LSTT.decoder_norms.", "patch_wise_id_banks.", "id_norms.")
"""Unused keys of published multi-scale files: an FPN, norms and banks of stages without blocks."""
COMPUTED_BUFFER = "relative_position_index"
"""A buffer of published Swin checkpoints that is a constant of the architecture."""

ADDED_WEIGHTS = ("temporal.", ".short_key.", ".short_value.", ".short_norm.")
"""Fragments of the names of parameters that RMem adds to AOT or DeAOT."""
ENCODER_PREFIXES = {
    "encoder.layers.": "swinb_",
    "encoder.conv1.0.": "rs101_",
    "encoder.layer3.22.": "r101_",
    "encoder.layer1.": "r50_",
}
"""Prefixes of the presets by a part of a key that their encoders have, the first that matches."""
DROPPED_WEIGHTS = (".short_term_attn.relative_emb_", ".short_attention.relative_")
"""Fragments of the names, published and ours, of AOT's parameters that AOT+ lacks."""


def to_published_name(key: str) -> str:
    """Return the published name of a state-dict key of a model with one stage."""
    return _apply_rules(key, RULES)


def map_published_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the published name of every state-dict key of a model."""
    keys = list(keys)
    rules = [*_multiscale_rules(keys), *_shared_rules(keys), *RULES]
    return {key: _apply_rules(key, rules) for key in keys}


def _multiscale_rules(keys: Collection[str]) -> list[tuple[str, str]]:
    """Return the rules of models with several stages, applied before `RULES`; none for a model with one stage."""
    if any(key.startswith("blocks16.") for key in keys):
        return MSDEAOT_RULES + DECODER_RULES
    if not any(key.startswith("stages.1.") for key in keys):
        return []
    norms = [match for key in keys if (match := re.match(r"stages\.(\d)\.blocks\.(\d)\.output_norm\.weight", key))]
    # published norms after blocks are numbered through all stages, transitions by the stage that they read
    numbered_rules = []
    for number, (stage, block) in enumerate(sorted(norm.groups() for norm in norms)):
        name = rf"^stages\.{stage}\.blocks\.{block}\.output_norm\."
        numbered_rules.append((name, f"MSLSTT.decoder_norms.{number}."))
    for stage in range(1, 1 + max(int(key.split(".")[1]) for key in keys if key.startswith("stages."))):
        for ours, published in (("proj_in", "convs_in"), ("refine", "convs_out")):
            numbered_rules.append((rf"^stages\.{stage}\.transition\.{ours}\.0\.", f"MSLSTT.{published}.{stage - 1}."))
    return numbered_rules + PYRAMID_RULES + DECODER_RULES


def _shared_rules(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Return the rules of an AOST with one shared block; none for other models."""
    keys = set(keys)
    if "conv_in.1.conv.weight" not in keys or any(key.startswith("blocks.1.") for key in keys):
        return []
    return [(r"^blocks\.0\.", "LSTT.layer."), (r"^norms\.0\.", "LSTT.decoder_norm.")]


def _apply_rules(key: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    if "LSTT." in key:
        for pattern, replacement in BLOCK_RULES:
            key = re.sub(pattern, replacement, key)
    return key


def is_published(keys: Iterable[str]) -> bool:
    """Return whether state-dict keys are named as in the published checkpoints."""
    return any(key.removeprefix("module.").startswith(("LSTT.", "MSLSTT.", "patch_wise_id_bank.")) for key in keys)


def convert_published(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Rename a published state dict for ``model``; keys that it does not have keep their published names."""
    names = map_published_names(model.state_dict())
    our_names = {published: key for key, published in names.items()}
    unused_prefixes = UNUSED_PREFIXES if _multiscale_rules(names) else ()
    renamed = {}
    for key, tensor in state.items():
        key = key.removeprefix("module.")
        is_unused = key not in our_names and key.startswith(unused_prefixes)
        if not is_unused and not key.endswith((COMPUTED_BUFFER, *UNUSED_SUFFIXES, "num_batches_tracked")):
            renamed[our_names.get(key, key)] = tensor
    return renamed


def guess_presets(keys: Iterable[str]) -> list[str]:
    """Return the presets whose architecture state-dict keys suggest, ours or published, the simplest first.

    Several differ in their memory only; empty if unknown.
    """
    keys = list(keys)
    names = set(keys) | set(map_published_names(keys).values())

    def contains(part: str) -> bool:
        return any(part in name for name in names)

    encoder = next((prefix for part, prefix in ENCODER_PREFIXES.items() if contains(part)), "")
    depth = len({match[1] for name in names if (match := re.match(r"LSTT\.layers\.(\d+)\.", name))})
    sizes = {1: ["t"], 2: ["s"], 3: ["b", "l"]}.get(depth, [])
    if contains("MSLSTT."):
        presets = ["paotl"]
    elif contains("LSTT.layer_s8."):
        presets = [f"msdeaot{size}" for size in {1: ["t"], 2: ["l"], 3: ["l_hq"]}.get(depth, [])]
    elif contains("decoder.conv_in.1."):
        presets = ["aost" if depth else "aost_share"]
    else:
        family = "deaot" if contains(".linear_ID_V.") else "aot"
        memories = ["_rmem", "_ermu"] if contains("mem_pos_emb") else [""]
        presets = [f"{family}{size}{memory}" for size in sizes for memory in memories]
    return [f"{encoder}{name}" for name in presets if f"{encoder}{name}" in list_presets()]


def add_missing_weights(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Extend the weights of an AOT or DeAOT with the initial weights that RMem's ``model`` adds.

    Weights that include any of these are returned unchanged, and so are those of a model without them.
    """
    current = model.state_dict()
    added = {key: tensor for key, tensor in current.items() if any(part in key for part in ADDED_WEIGHTS)}
    if not added or any(key in state for key in added):
        return dict(state)
    dropped = {key for key in state if key not in current and any(part in key for part in DROPPED_WEIGHTS)}
    result = added | {key: tensor for key, tensor in state.items() if key not in dropped}
    for key, tensor in current.items():
        channels = result[key].shape[1] if key.endswith("identity_bank.weight") and key in result else 0
        if 0 < channels < tensor.shape[1]:
            result[key] = torch.cat([result[key].to(tensor), tensor[:, channels:]], 1)
    return result


def load_encoder_weights(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load ImageNet weights in torchvision's or Swin's key names into an encoder.

    Entries that the encoder does not have (a classifier, stages that are not built) are skipped. A missing one raises
    RuntimeError, as do further blocks in the stages of a ResNet, which are those of a deeper one.
    """
    keys = {to_published_name(f"encoder.{key}").removeprefix("encoder."): key for key in encoder.state_dict()}
    weights = {key.removeprefix("encoder."): tensor for key, tensor in weights.items()}
    known_weights = {keys[key]: tensor for key, tensor in weights.items() if key in keys}
    blocks = {block[0] for key in keys if (block := re.match(r"layer\d\.\d+", key))}
    stages = {block.partition(".")[0] for block in blocks}
    found = {block[0] for key in weights if (block := re.match(r"layer\d\.\d+", key))}
    if deeper := sorted(block for block in found - blocks if block.partition(".")[0] in stages):
        raise RuntimeError(f"weights of a deeper encoder, which has {deeper[0]}")
    # Swin's output norms are not part of a classifier; they keep their initial values
    norms = {key: tensor for key, tensor in encoder.state_dict().items() if key.startswith("norms.")}
    encoder.load_state_dict(norms | known_weights)
