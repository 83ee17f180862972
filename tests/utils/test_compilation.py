"""Messages of torch.compile."""

from __future__ import annotations

import logging

from aotlab.utils.environment import LOGGERS, announce_compilation


def test_one_line_says_that_the_model_compiles_and_warnings_go_to_a_file(
    tmp_path, monkeypatch, caplog, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in LOGGERS}
    try:
        with caplog.at_level(logging.INFO):
            announce_compilation()
        logging.getLogger("torch._dynamo").warning("recompiled")
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    assert [record.message[:19] for record in caplog.records] == ["compiling the model"]
    assert "recompiled" in (tmp_path / "aotlab" / "compile.log").read_text()
    assert capsys.readouterr().err == ""
