"""The profile of a frame by operation."""

from benchmarks.operations import main


def test_operations_of_a_frame_are_listed_with_their_sums(capsys):
    assert main(["deaott,size=64x48,frames=2,kernels=plain", "--rows", "3"]) == 0
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]
    ]
    assert [row[0] for row in rows[3:]] == ["others", "frame"]
    assert sum(int(row[1]) for row in rows[:4]) == int(rows[4][1])
    assert float(rows[4][5]) > 0.1  # GFLOP of the encoder
