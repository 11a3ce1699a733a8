"""figures/ of Adya et al. and of Arnold and Wang in their fast form (R20); the others are with what they show."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIGURES = Path(__file__).parent.parent / "figures"


@pytest.mark.parametrize("name", ["fig_adya_large_batches", "fig_replicas"])
def test_a_figure_is_the_same_from_two_processes(name, tmp_path):
    """R20: a figure's script writes the same bytes twice, without warnings and without data from elsewhere."""
    places = [tmp_path / "one", tmp_path / "two"]
    environment = {key: value for key, value in os.environ.items() if key != "REFHF_DATA_DIR"}
    for place in places:
        place.mkdir()
        command = [sys.executable, "-W", "error", FIGURES / f"{name}.py", "--fast", place]
        subprocess.run(command, check=True, env=environment | {"OPENBLAS_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    written = [{path.name: path.read_bytes() for path in place.iterdir()} for place in places]
    assert {name.rpartition(".")[2] for name in written[0]} >= {"png", "txt"}
    assert written[0] == written[1]
