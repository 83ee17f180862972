"""The authors' code beside aotlab's: rows of masks, and training."""

from importlib.util import find_spec

import numpy as np
import pytest

from research.parity.pairs import LATER, Row, make_masks, split_objects

needs_authors = pytest.mark.skipif(not find_spec("aot"), reason="needs deaotpy: pip install --no-deps deaotpy")


def test_objects_are_cut_into_stripes_of_equal_area():
    mask = np.zeros((20, 40), np.uint8)
    mask[4:14, 6:36] = 3
    found = split_objects(mask, 5)
    assert np.bincount(found.ravel())[1:].tolist() == [60] * 5
    assert ((found > 0) == (mask > 0)).all()


def test_later_objects_are_in_the_later_mask_only():
    mask = np.zeros((20, 40), np.uint8)
    mask[4:14, 6:36] = 1
    masks = make_masks(Row("", 3, later=1), [mask] * (LATER + 1))
    assert {index: np.unique(found).tolist() for index, found in masks.items()} == {0: [0, 1, 2], LATER: [0, 3]}


@needs_authors
@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 50_000, 99_999])
@pytest.mark.parametrize("name", ["aott", "deaott"])
def test_training_equals_that_of_the_authors(name, step):
    from research.parity.training import compare_norms, run_ours, run_theirs

    (loss, gradients, _), (expected_loss, expected, _) = run_ours(name, step), run_theirs(name, step)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    # sums in another order
    assert compare_norms(gradients, expected) < 1e-3


@needs_authors
def test_masks_are_compared_in_a_row(capsys):
    from research.parity.__main__ import main

    assert main(["aott", "--frames", "5", "--size", "160x96"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| aott | pond | ")]
    assert len(rows) == 6
    # of 15 360 pixels, a few that nearly tie
    assert all(float(row.split(" | ")[3]) > 0.999 for row in rows)
