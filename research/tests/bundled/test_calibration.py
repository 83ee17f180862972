"""Calibration error and temperature."""

import numpy as np
import pytest

from research.bundled.benchmark_touching import (
    expected_calibration_error,
    fit_temperature,
    softmax_with_temperature,
)


def test_calibration_error_is_the_probability_gap():
    right = np.arange(100) < 70
    assert expected_calibration_error(np.full(100, 0.7), right) == pytest.approx(0)
    assert expected_calibration_error(np.full(100, 0.9), right) == pytest.approx(0.2)
    assert expected_calibration_error(np.ones(100), right) == pytest.approx(0.3)


def test_fitted_temperature_matches_the_true_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    logits[:2000, 2] = -np.inf
    probabilities = softmax_with_temperature(logits, 1.0)
    truth = np.array([rng.choice(3, p=each) for each in probabilities])
    assert not (truth[:2000] == 2).any()
    assert fit_temperature(2.5 * logits, truth) == pytest.approx(2.5, rel=0.1)
    overconfident, fitted = (softmax_with_temperature(2.5 * logits, t).max(1) for t in (1.0, 2.5))
    right = logits.argmax(1) == truth
    assert expected_calibration_error(fitted, right) < 0.5 * expected_calibration_error(overconfident, right)
