"""Migration of the settings that earlier versions stored in checkpoints to the names of 0.3.

Version 0.2 is what the repository held between 0.1.0 and 0.3.0; it was never released. `input.window` was also stored
by 0.3 before its release, as in the bundled model.
"""

from __future__ import annotations

from typing import Any

RENAMED = {
    "hold_back": "validation_fraction",
    "own_predictions_from": "feed_predictions_after",
    "hardest_pixels_at": "hardest_pixels_after",
    "picture_every": "image_every",
}
REMOVED = ("scalable", "decode_all_blocks", "touching", "hold_out")
METHODS = {"lstt": "aot", "lstt_recurrent": "aot_rmem", "gpm": "deaot", "aost": "aost", "pyramid": "paot"}
"""method by the kind of block that a stage named"""


def migrate_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return stored settings under the names of 0.3; invalid ones are left to the schema."""
    tree = _rename(settings)
    if isinstance(tree.get("input"), dict):
        tree["input"].pop("window", None)  # by its path, as stages have a setting of this name
    model = tree.get("model")
    stages = model.get("stages") if isinstance(model, dict) else None
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        return tree
    blocks = {str(stage.get("block")) for stage in stages}
    if len(blocks) == 1 and blocks <= METHODS.keys():
        (block,) = blocks
        method = METHODS[block]
        if block == "gpm" and len(stages) > 1:
            method = "msdeaot"
        elif block == "gpm" and stages[0].get("temporal_slots"):
            method = "deaot_rmem"
        stages = [{key: value for key, value in stage.items() if key != "block"} for stage in stages]
        tree["model"] = {**model, "method": method, "stages": stages}
    return tree


def _rename(node: Any) -> Any:
    if isinstance(node, list):
        return [_rename(item) for item in node]
    if isinstance(node, dict):
        return {RENAMED.get(key, key): _rename(value) for key, value in node.items() if key not in REMOVED}
    return node
