"""Readers of the benchmark data sets by name; they load NumPy, `datasets` does not."""

from collections.abc import Callable
from functools import partial

from aotlab.dataloaders.benchmarks.burst import read_burst
from aotlab.dataloaders.benchmarks.davis import read_davis, read_visor
from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.dataloaders.benchmarks.lvos import read_lvos
from aotlab.dataloaders.benchmarks.mose import read_mose
from aotlab.dataloaders.benchmarks.sav import read_sav
from aotlab.dataloaders.benchmarks.sequences import read_folder
from aotlab.dataloaders.benchmarks.vost import read_long_video, read_vost
from aotlab.dataloaders.benchmarks.youtube_vos import read_youtube_vos

READERS: dict[str, Callable[..., list[Video]]] = {
    "davis2016": partial(read_davis, year="2016"), "davis2017": read_davis,
    "youtubevos2018": read_youtube_vos, "youtubevos2019": read_youtube_vos,
    "vost": read_vost, "visor": read_visor, "mose": read_mose, "mosev2": partial(read_mose, version=2),
    "lvosv1": read_lvos, "lvosv2": read_lvos, "longvideo": read_long_video, "sav": read_sav, "burst": read_burst,
    "folder": read_folder,
}  # fmt: skip
"""Functions from the root, the split if it has splits, and options by name to the videos of the split."""
