"""The comparisons that say how fast the project is."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = {
    "AOTT's step": "aott",
    "DeAOTT's step": "deaott",
    "R50-AOTL's step": "r50_aotl,at_frame=30",
    "R50-DeAOTL's step": "r50_deaotl",
}
"""entries of the report that are measurements by themselves, no comparisons, and their settings"""


@dataclass(frozen=True)
class Row:
    """One comparison: A and B as settings, and what their ratio A / B should be, where there is such a number."""

    what: str
    first: str
    second: str
    at_least: float | None = None
    at_most: float | None = None
    gpu_only: bool = False

    def met(self, ratio: float) -> bool | None:
        """Whether a ratio is as it should be; None where nothing is required."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least or 0) <= ratio <= (self.at_most or float("inf"))

    @property
    def target(self) -> str:
        """What is required of the ratio."""
        bounds = {"at least": self.at_least, "at most": self.at_most}
        return ", ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None)

    def holds(self, text: str) -> bool:
        """Whether name or settings hold a text, in any case of letters."""
        return text.lower() in f"{self.what} {self.first} {self.second}".lower()


MODELS = {"AOTT": "aott", "DeAOTT": "deaott", "R50-AOTL": "r50_aotl", "R50-DeAOTL": "r50_deaotl"}

FASTER_THAN_THE_TWIN = {"aott": 5.0, "deaott": 3.5, "r50_deaotl": 3.0}
"""at least, with one object and with ten"""
FASTER_WITH_MEMORY = 5.0
"""at least, R50-AOTL when its memory has grown"""
TEN_OBJECTS = 1.1
"""at most, what 10 objects take of what 1 takes"""
FLAT = 1.05
"""at most, what late frames take of what early ones take"""

ALONE = {
    "local_attention": ("aott", "deaott"),
    "global_attention": ("aott", "r50_aotl,at_frame=30"),
    "products": ("aott", "deaott", "r50_aotl", "r50_deaotl", "swinb_deaotl"),
    "norms": ("aott", "r50_aotl"),
    "groups": ("aott,objects=30",),
    "memory": ("r50_aotl,at_frame=30", "r50_deaotl,at_frame=30"),
    "planes": ("aott",),
    "argmax": ("aott", "aott,objects=10"),
    "sync": ("aott",),
    "layout": ("aott", "deaott", "r50_aotl"),
    "allocator": ("aott", "r50_aotl"),
}
"""a slow part, and the settings where it matters, in which it is measured without the others"""

BOUNDED_MEMORY = "aotl,memory.policy=relevance_redundancy,memory.frames=9"
LONG = "aott,memory.policy=bounded_fifo,memory.frames=9,size=256x144"
WAYS = ("precision=bfloat16", "compile", "precision=bfloat16,compile")
"""precisions measured besides float32, all but the first on GPUs alone"""


def rows() -> tuple[Row, ...]:
    """All comparisons, in the order of the table."""
    found = []
    for name, config in MODELS.items():
        for setting in (config, f"{config},objects=10"):
            objects = "10 objects" if "objects" in setting else "1 object"
            wanted = FASTER_THAN_THE_TWIN.get(config)
            found.append(
                Row(f"{name}, {objects}: slow twin against ours", f"{setting},slow=all", setting, wanted)
            )
    late = "r50_aotl,at_frame=30"
    found.append(
        Row("R50-AOTL from frame 30 on: slow twin against ours", f"{late},slow=all", late, FASTER_WITH_MEMORY)
    )
    for name, config in MODELS.items():
        found.append(
            Row(f"{name}: 10 objects against 1", f"{config},objects=10", config, at_most=TEN_OBJECTS)
        )
    early, later = f"{BOUNDED_MEMORY},at_frame=45", f"{BOUNDED_MEMORY},at_frame=95"
    found.append(
        Row("AOTL, 9 frames in memory at most: from frame 95 on against 45", later, early, at_most=FLAT)
    )
    early, later = f"{LONG},at_frame=200", f"{LONG},at_frame=2800"
    found.append(Row("AOTT, 256x144, 9 frames: from frame 2800 on against 200", later, early, at_most=FLAT))
    for part, settings in ALONE.items():
        for setting in settings:
            found.append(Row(f"{part} alone, {setting}", f"{setting},slow={part}", setting))
    return (*found, *_ways())


def _ways() -> list[Row]:
    """The models with products chosen by timing, in other precisions, and compiled."""
    found = []
    for name, config in MODELS.items():
        setting = f"{config},at_frame=30" if config.endswith("l") else config
        fixed, tuned = f"{setting},products=fixed", f"{setting},products=tuned"
        found.append(Row(f"{name}: fixed products against tuned", fixed, tuned))
    for name, config in MODELS.items():
        for way in WAYS:
            here = way == "precision=bfloat16"
            found.append(Row(f"{name}: float32 against {way}", config, f"{config},{way}", gpu_only=not here))
    return found
