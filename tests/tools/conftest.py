"""Commands that are refused."""

import pytest


@pytest.fixture
def refuse(capsys):
    """Run a command that has to exit with status 2; return its one line on stderr."""

    def refuse(main, *words):
        assert main([str(word) for word in words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return refuse
