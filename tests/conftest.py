"""Hypothesis profiles: the default is the same every time; `long` is 5,000 random examples, `mutation` 20, unshrunk.

With `seeds` the examples are those of pytest's option --hypothesis-seed, as many as by default.
"""

import os

import matplotlib
import pytest
from hypothesis import Phase, settings

pytest.register_assert_rewrite("browser")  # its assertions hold under `python -O` too
matplotlib.get_configdir()  # where none can be written it makes one, says so, and names it in the environment: once

settings.register_profile("default", max_examples=100, derandomize=True, deadline=None)
settings.register_profile("seeds", max_examples=100, derandomize=False, database=None, deadline=None)
settings.register_profile("long", max_examples=5_000, derandomize=False, deadline=None)
settings.register_profile(
    "mutation", max_examples=20, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
