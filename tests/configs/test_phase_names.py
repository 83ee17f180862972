"""Names of training phases, which become files."""

import pytest

from aotlab.configs.training import PhaseConfig
from aotlab.utils.errors import InputError


@pytest.mark.parametrize(
    "name", ["../../evil", "..", ".", "/tmp/evil", "a/b", "a\\b", "", ".hidden", "x" * 300]
)
def test_a_phase_whose_name_would_leave_the_output_folder_is_refused(name):
    with pytest.raises(InputError, match=r"train\.phases\.name: .* is not a plain name"):
        PhaseConfig(name=name)


def test_usual_phase_names_are_taken():
    assert PhaseConfig(name="pre_ytb_dav").name == "pre_ytb_dav"
