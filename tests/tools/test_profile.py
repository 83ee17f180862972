"""The ``profile`` command: parameters, FLOPs, time and memory of a model by part."""

import csv

import torch

from aotlab.tools.cli.model_report import PeakMemory
from aotlab.tools.profile_model import main
from aotlab.tools.weights import main as weights


def test_parts_and_steps_are_measured(capsys):
    assert main(["aott", "--size", "97x65", "--format", "csv", "--device", "cpu"]) == 0
    output = capsys.readouterr()
    (head, *rows) = csv.reader(output.out.splitlines())
    assert head == ["part", "M parameters", "GFLOP", "ms", "MB"]
    table = {row[0]: row[1:] for row in rows}
    assert [*table][-6:] == ["all parts", "encode", "propagate", "decode", "memorize", "one frame"]
    assert table["all parts"][0] == "5.73"
    assert all(float(table[step][2]) > 0 for step in [*table][-5:])
    assert "97x65 in the network" in output.err
    assert weights(["show", "aott"]) == 0
    assert "all parts" in capsys.readouterr().out


def test_peak_counts_tensors_until_they_are_freed():
    x = torch.ones(1000)
    with PeakMemory() as memory:
        y = x + 1
        y = y * 2  # both exist
        y.view(-1)[::2].add_(1)
        del y
        z = x.sum()
    assert (memory.peak, memory.used) == (8000, z.nbytes)
