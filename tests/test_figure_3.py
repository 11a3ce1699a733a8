"""Figure 3 of He et al.: what figures/fig3_communications.py writes."""

import os
import subprocess
import sys
from pathlib import Path

from processes import OWN_WARNINGS

SCRIPT = Path(__file__).parent.parent / "figures" / "fig3_communications.py"


def written(folder):
    """The files that the script writes into a folder, by name."""
    environment = {name: value for name, value in os.environ.items() if name != "REFHF_DATA_DIR"}
    command = [sys.executable, *OWN_WARNINGS, SCRIPT, "--fast", folder]
    subprocess.run(command, check=True, capture_output=True, env=environment | {"OPENBLAS_NUM_THREADS": "1"})
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_figure_is_reproducible_and_resumes(tmp_path):
    """A second process, started with the first half of the first one's runs, ends with the same bytes.

    The counters of 16 ranks are those of the formulas: the script asserts it.
    """
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    once = written(a)
    lines = once["fig3_communications.jsonl"].splitlines(keepends=True)
    (b / "fig3_communications.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert written(b) == once
    assert sorted(once) == [f"fig3_communications.{kind}" for kind in ("jsonl", "png", "txt")]
    assert b"What 16 ranks in process have counted" in once["fig3_communications.txt"]
