"""Hypothesis profiles: the default is the same every time; HYPOTHESIS_PROFILE=long is 5,000 random examples."""

import os

from hypothesis import settings

settings.register_profile("default", max_examples=100, derandomize=True, deadline=None)
settings.register_profile("long", max_examples=5_000, derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
