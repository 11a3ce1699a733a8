"""Kills and flipped bits of whole run folders, a few of what `survival.py` does (R15, R17); with `long` all of it."""

import os
import re
import sys

import pytest
from processes import LONG, finish


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_same_numbers_or_a_refusal_that_names_the_file():
    """Killed at any moment, or with a bit flipped in any file of its folder, a run is resumed to the same or refused.

    The kills are known to have hit runs, and the flips to have hit what counts.
    """
    script = os.path.join(os.path.dirname(__file__), "survival.py")
    many = ["--kills", "30", "--flips", "300"] if LONG else ["--kills", "2", "--flips", "2"]
    code, out, err, _ = finish([sys.executable, script, *many], 7200 if LONG else 100, {})
    assert (code, err) == (0, ""), out
    assert out.count(" kills: ") == 3
    assert all(re.search(f"^{name}: .*'killed'", out, re.M) for name in ("train", "compare", "sweep"))
    assert all(re.search(f"{name}: .*'refused'", out) for name in ("history.jsonl", "runs.jsonl"))
