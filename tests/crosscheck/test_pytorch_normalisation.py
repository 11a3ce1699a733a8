"""examples/pytorch_normalisation.py: the right routes are right, and a wrong one is named. Run by `make crosscheck`."""

import importlib.util
from pathlib import Path

import pytest

from refhf.conformance.patterns import Pattern

pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTorch says of itself

PATH = Path(__file__).parents[2] / "examples" / "pytorch_normalisation.py"
SPEC = importlib.util.spec_from_file_location("pytorch_normalisation", PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


@pytest.mark.parametrize("name", script.NORMS)
def test_reverse_first_is_right(name):
    """Forward over reverse and reverse over reverse agree with the formula to 1e-13."""
    assert max(script.error(name, route) for route in ("reverse over reverse", "forward over reverse")) < 1e-13


@pytest.mark.parametrize("name", script.ISSUES)
@pytest.mark.parametrize("route", script.ROUTES)
def test_a_wrong_route_is_named(name, route):
    """Each route is right, or has the fault of PyTorch's issues 196699 and 196700 and is told so."""
    report = script.diagnosis(name, route)
    assert report.passed or report.patterns == (Pattern.SAVED_STATISTICS,)
    assert report.passed or route.endswith("over forward")
