"""Published key names of models with several stages; `networks.official` has those of all their blocks."""

from __future__ import annotations

import re
from collections.abc import Collection

MSDEAOT = [
    (r"^stages\.1\.blocks\.0\.", "LSTT.layer_s8."),
    (r"^stages\.1\.identity_bank\.", "patch_wise_id_bank_s8."),
    (r"^stages\.1\.identity_norm\.", "id_norm_s8."),
    (r"^stages\.2\.norms\.", "LSTT.decoder_norms_s4."),
    (r"^stages\.1\.transition\.", "LSTT.s8_"),
    (r"^stages\.2\.transition\.", "LSTT.s4_"),
    (r"^(LSTT\.s\d_)adapter\.", r"\1proj."),
    (r"^(LSTT\.s\d_)enter\.0\.", r"\1cons_in."),
    (r"^(LSTT\.s\d_)enter\.1\.", r"\1cons_in_id."),
    (r"^(LSTT\.s\d_)leave\.0\.", r"\1cons_out."),
    (r"^(LSTT\.s\d_)leave\.1\.", r"\1cons_out_id."),
]
PYRAMID = [
    (r"^projector\.", "adapters.0."),
    (r"^stages\.(\d)\.identity_bank\.", r"patch_wise_id_banks.\1."),
    (r"^stages\.(\d)\.identity_norm\.", r"id_norms.\1."),
    (r"^stages\.(\d)\.transition\.adapter\.", r"adapters.\1."),
    (r"^stages\.(\d)\.blocks\.", r"MSLSTT.layers_list.\1."),
]
DECODER = [(r"^decoder\.conv_out_hidden\.", "conv_output1."), (r"^decoder\.conv_out\.", "conv_output2.")]

NEVER_READ = ("decoder.", "LSTT.decoder_norms.", "patch_wise_id_banks.", "id_norms.")
"""what published multi-scale files hold beside what is used: an FPN, norms and banks of stages without blocks"""


def family_rules(keys: Collection[str]) -> list[tuple[str, str]]:
    """Rules ours-to-published that come before those of `networks.official`; none for a model with one stage."""
    if not any(key.startswith("stages.1.") for key in keys):
        return []
    norms = [
        found for key in keys if (found := re.match(r"stages\.(\d)\.blocks\.(\d)\.output_norm\.weight", key))
    ]
    if not norms:
        return MSDEAOT + DECODER
    # Norms behind blocks are numbered through all stages, transitions from the stage they leave.
    numbered = []
    for number, (stage, block) in enumerate(sorted(norm.groups() for norm in norms)):
        name = rf"^stages\.{stage}\.blocks\.{block}\.output_norm\."
        numbered.append((name, f"MSLSTT.decoder_norms.{number}."))
    for stage in range(1, 1 + max(int(key.split(".")[1]) for key in keys if key.startswith("stages."))):
        for ours, published in (("enter", "convs_in"), ("leave", "convs_out")):
            numbered.append(
                (rf"^stages\.{stage}\.transition\.{ours}\.0\.", f"MSLSTT.{published}.{stage - 1}.")
            )
    return numbered + PYRAMID + DECODER
