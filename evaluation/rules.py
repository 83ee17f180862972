"""Scoring rules of all benchmarks by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation import davis, lvos, mosev2, sav, visor, vost, youtube_vos
from aotlab.evaluation.rows import COLUMNS, Row, Summary, make_davis_row
from aotlab.evaluation.sequence_scores import ScoringPlan


@dataclass(frozen=True)
class Rules:
    """Scoring rules of a benchmark: the frames and objects that count, and the table of their scores."""

    plan: Callable[[Video], ScoringPlan]
    columns: tuple[str, ...] = COLUMNS
    make_row: Callable[..., Row] = make_davis_row
    """Function from the values of J, F and further scores of an object, (n,) each, to its row."""
    summarize: Callable[[Sequence[Row], Sequence[bool | None]], Summary] = davis.summarize
    """Function from all rows, and whether the category of each occurs in training, to the benchmark's summary."""
    min_frames: int = 3
    """Minimum number of annotated frames in a sequence."""


RULES: dict[str, Rules] = {
    "davis": Rules(davis.plan_sequence),
    "folder": Rules(partial(davis.plan_sequence, present_ids=True, refuse_unknown_ids=False)),
    "folder_new_objects": Rules(davis.plan_late_objects),
    "lvos": Rules(lvos.plan_sequence, lvos.COLUMNS, lvos.make_row, lvos.summarize, min_frames=2),
    "mosev2": Rules(mosev2.plan_sequence, mosev2.COLUMNS, mosev2.make_row, mosev2.summarize),
    "sav": Rules(sav.plan_sequence),
    "visor": Rules(partial(davis.plan_sequence, drop_last=False), summarize=visor.summarize, min_frames=2),
    "vost": Rules(
        partial(davis.plan_sequence, refuse_unknown_ids=False, measure=vost.measure_region), vost.COLUMNS, vost.make_row
    ),
    "youtube_vos": Rules(youtube_vos.plan_sequence, youtube_vos.COLUMNS, summarize=youtube_vos.summarize, min_frames=2),
}


def list_score_names() -> list[str]:
    """Return the names of the values that `aotlab eval` writes to `scores.json`, of all benchmarks."""
    summaries = [rules.summarize([dict.fromkeys(rules.columns, 0.0)], [True]) for rules in RULES.values()]
    return [*dict.fromkeys(name for summary in summaries for name in summary), "fps"]
