"""Start of research programs."""

import pytest

from aotlab.utils.errors import InputError
from research.program import run_program


def test_bad_input_is_one_line_and_status_2(capsys):
    def main():
        raise InputError("x.png: no such file; check the spelling")

    with pytest.raises(SystemExit, match="2"):
        run_program(main)
    assert capsys.readouterr().err == "error: x.png: no such file; check the spelling\n"
