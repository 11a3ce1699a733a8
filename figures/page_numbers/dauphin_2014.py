"""The numbers of dauphin_2014.md: from the table that fig_spectra.py writes."""

import re

from page_numbers import FIGURES

_TEXT = (FIGURES / "fig_spectra.txt").read_text(encoding="utf-8")
_ROW = re.compile(
    r"^(sgd|hessian-bicgstab) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +(?:[\d.]+ \+- [\d.]+) +\S+ +\S+(.*)$", re.M
)
POINTS = {
    name: [
        {"k": int(k), "loss": float(loss), "index": float(index), "clear": float(clear), "rest": rest.strip()}
        for run, k, loss, index, clear, rest in _ROW.findall(_TEXT)
        if run == name
    ]
    for name in ("sgd", "hessian-bicgstab")
}
BICGSTAB = POINTS["hessian-bicgstab"]


def near(run, loss):
    """The point of a run whose loss is nearest."""
    return min(POINTS[run], key=lambda point: abs(point["loss"] - loss))


def index(run, loss):
    """The index there."""
    return f"{near(run, loss)['index']:.2f}"


def below(run, loss, key="index"):
    """The least and the most of the points whose loss is not above."""
    found = sorted(point[key] for point in POINTS[run] if point["loss"] <= loss + 0.01)
    return f"{found[0]:.2f} to {found[-1]:.2f}"


def least(run):
    """The least index, and the loss there."""
    return min(POINTS[run], key=lambda point: point["index"])


def none_clear_below(run):
    """The largest loss from which on there is no clearly negative eigenvalue."""
    return max(p["loss"] for p in POINTS[run] if p["clear"] == 0)


def _candidates(point):
    share, _, _, negative, of = re.match(r"([\d.]+) \[([\d.]+), ([\d.]+)\] +(\d+) of (\d+)", point["rest"]).groups()
    return float(share), int(negative), int(of)


WITH = [point for point in BICGSTAB if _candidates(point)[1]]  # steps with a candidate of negative curvature
AFTER = BICGSTAB[len(WITH)]  # the first without


def shares():
    """The medians of the candidates' shares over these steps, in per cent: '66 to 94'."""
    found = sorted(_candidates(point)[0] for point in WITH)
    return f"{100 * found[0]:.0f} to {100 * found[-1]:.0f}"


def random_shares():
    """The same of a random direction: the index."""
    found = sorted(point["index"] for point in WITH)
    return f"{100 * found[0]:.0f} to {100 * found[-1]:.0f}"


def negative():
    """'36 of these 50' candidates."""
    found = [_candidates(point) for point in WITH]
    return f"{sum(n for _, n, _ in found)} of these {sum(of for _, _, of in found)}"


def off(what):
    """The error of the quadrature: the most, or the median."""
    most, middle = re.search(r"off by ([\d.]+) at most, ([\d.]+) in the median", _TEXT).groups()
    return most if what == "most" else middle
