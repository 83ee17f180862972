"""Scoring of one sequence's folder, for the tests of rules."""

from aotlab.evaluation.sequence_scores import join, require_predictions, score_files


def score_sequence(plan, results):
    """`SequenceScores` of a plan's results."""
    require_predictions(plan, results)
    return join(plan, [score_files(plan, results)])
