"""What there is to escape: negative curvature along runs of a small network, after Figure 1 of Dauphin et al. 2014.

    python figures/fig_spectra.py [--fast] [FOLDER]

writes fig_spectra.png and fig_spectra.txt, by default into this folder. The network is 49-12-10 (P = 730, tanh, softmax
cross-entropy) on 2,000 digits of mnist-mini, each averaged to 7 x 7, so every spectrum is also computed densely.

    index       the share of negative eigenvalues of H, along runs of SGD and of hessian-bicgstab on all cases; below,
                the share of the clearly negative ones, also by stochastic Lanczos quadrature
                (`refhf.spectral_density`)
    spectrum    the eigenvalues' density at three points of the second run, dense and by quadrature
    candidates  the share of Bi-CG-STAB's directions, ||V'd||^2 / ||d||^2 with V the eigenvectors of negative
                eigenvalues, over the ten candidates of each step; a random direction has the index as its share

An eigenvalue counts as negative below -1e-6 of the largest magnitude, because a network has many that are zero: of the
softmax's shift, and of pixels that are always black. It counts as clearly negative below -1e-3 of it: quadrature cannot
tell the many eigenvalues that are nearer to zero from zero. Dauphin et al. look at critical points near a run, and we
at the run's own points. --fast has 3 hidden units, 60 digits and two steps.
"""

import sys
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from earlier_defaults import EARLIER

import refhf
from refhf.lab.plots import history_axes, run_figures
from refhf.text import columns

HIDDEN, CASES, STEPS, EPOCHS = 12, 2000, 40, 60
ZERO, CLEAR = 1e-6, 1e-3  # our choice, of the largest magnitude
PROBES, ITERATIONS = 10, 80
CANDIDATES = EARLIER["hessian-bicgstab"]["solver_iterations"]
SGD = {"learning_rate": 0.3, "batch": 50}  # our choice
RUNS = {"sgd": history_axes.COLOURS[0], "hessian-bicgstab": history_axes.COLOURS[1]}
MARKERS = {"sgd": ("o", "x"), "hessian-bicgstab": ("s", "+")}  # of the index, and of its estimate
DASHES = "-", "--", ":"


class Point(NamedTuple):
    """A point of a run: its step, loss, gradient and damping, H's eigenvalues and vectors, and the quadrature."""

    k: int
    loss: float
    gradient: np.ndarray
    damping: float
    eigenvalues: np.ndarray
    vectors: np.ndarray
    found: object

    @property
    def bound(self):
        """An eigenvalue below this is negative."""
        return -ZERO * abs(self.eigenvalues).max()

    @property
    def index(self):
        """The share of negative eigenvalues."""
        return (self.eigenvalues < self.bound).mean()

    @property
    def clear(self):
        """The share of clearly negative ones."""
        return (self.eigenvalues < self.bound * CLEAR / ZERO).mean()

    @property
    def estimate(self):
        """The same by quadrature, with its standard error."""
        return self.found.share_below(self.bound * CLEAR / ZERO)


def posed(fast):
    """The objective and its start."""
    digits, cases = refhf.load("mnist-mini"), 60 if fast else CASES
    X = digits.X[:cases].reshape(cases, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(cases, 49)
    net = refhf.mlp([49, 3 if fast else HIDDEN, 10])
    return refhf.supervised(net, X.astype(float), digits.y[:cases]), net.init(rng=0)


def run(objective, theta, name, fast):
    """Where the steps of a run start: of hessian-bicgstab all, of SGD about as many, ever further apart."""
    given, wanted = EARLIER["hessian-bicgstab"] | {"curvature_batch": objective.cases}, range(2 if fast else STEPS)
    if name == "sgd":
        updates = objective.cases // SGD["batch"] * EPOCHS
        given, wanted = SGD, np.unique(np.geomspace(1, updates, len(wanted)).astype(int)) - 1
    points, reports = [], refhf.iterate(objective, theta, method=name, rng=0, **given)
    for k in range(max(wanted) + 1):
        report = next(reports)
        if k in wanted:
            points.append(seen(objective, theta, k, getattr(report.detail, "damping", np.nan)))
        theta = report.theta
    return points


def seen(objective, theta, k, damping):
    """The point, with H's spectrum densely and by quadrature."""
    H = objective.hessian(theta)
    loss, gradient = objective.value_and_gradient(theta)
    dense = np.stack([H @ e for e in np.eye(theta.size)])
    values, vectors = np.linalg.eigh((dense + dense.T) / 2)
    found = refhf.spectral_density(H, theta.size, probes=PROBES, iterations=ITERATIONS, rng=k)
    return Point(k, loss, gradient, damping, values, vectors, found)


def shares(point):
    """The share in the negative space of each of Bi-CG-STAB's candidates, and which of them have d'Hd < 0.

    H is that of the eigenvectors.
    """
    values, vectors = point.eigenvalues, point.vectors

    def damped(v):
        return vectors @ ((values + point.damping) * (vectors.T @ v))

    iterates = islice(refhf.bicgstab_iterates(damped, -point.gradient), 1, CANDIDATES + 1)
    parts = [(vectors.T @ it.x) ** 2 / (it.x @ it.x) for it in iterates if it.x.any()]
    return np.array([part[values < point.bound].sum() for part in parts]), [part @ values < 0 for part in parts]


def written(runs):
    """The tables."""
    rows = [
        (
            "run",
            "k",
            "loss",
            "index",
            "clear",
            "by quadrature",
            "smallest",
            "largest",
            "candidates' share",
            "with d'Hd < 0",
        )
    ]
    for name, points in runs.items():
        for p in points:
            row = name, p.k, f"{p.loss:.4f}", f"{p.index:.3f}", f"{p.clear:.3f}"
            row += (f"{p.estimate.value:.3f} +- {p.estimate.standard_error:.3f}",)
            row += f"{p.eigenvalues[0]:.2e}", f"{p.eigenvalues[-1]:.2e}"
            if name != "sgd":
                share, negative = shares(p)
                row += (
                    f"{np.median(share):.3f} [{share.min():.3f}, {share.max():.3f}]",
                    f"{sum(negative)} of {len(share)}",
                )
            rows.append((*row, *[""] * (len(rows[0]) - len(row))))
    points = [p for points in runs.values() for p in points]
    off = [abs(p.estimate.value - p.clear) for p in points]
    ends = [refhf.lanczos_eigenpairs(lambda v, p=p: p.vectors @ (p.eigenvalues * (p.vectors.T @ v)), p.gradient.size,
                                     smallest=3, largest=3, rng=0) for p in points]  # fmt: skip
    apart = max(abs(e.values - p.eigenvalues[[0, 1, 2, -3, -2, -1]]).max() / abs(p.eigenvalues).max()
                for e, p in zip(ends, points, strict=True))  # fmt: skip
    text = "\n".join(columns(rows))
    return f"""\
The share of negative eigenvalues of H along two runs (index), of clearly negative ones, and the latter by stochastic
Lanczos quadrature ({PROBES} probes of {ITERATIONS} steps); the share of Bi-CG-STAB's candidates in the space of
negative eigenvalues, median [least, most], and how many of them have negative curvature.

{text}

Quadrature is off by {max(off):.3f} at most, {np.median(off):.3f} in the median.
Lanczos has the three eigenvalues at each end to {apart:.0e} of the largest.
"""


def figure(runs):
    from matplotlib.figure import Figure

    with run_figures.figure_style():
        drawn = Figure(figsize=(19, 6), layout="constrained")
        left, middle, right = drawn.subplots(1, 3)
        indices(left, runs)
        densities(middle, runs["hessian-bicgstab"])
        candidates(right, runs["hessian-bicgstab"])
    return drawn


def indices(ax, runs):
    """Index against loss."""
    for name, points in runs.items():
        losses, estimates = [p.loss for p in points], [p.estimate for p in points]
        ax.plot(losses, [p.index for p in points], "-", marker=MARKERS[name][0], color=RUNS[name], markersize=5,
                label=name)  # fmt: skip
        ax.plot(losses, [p.clear for p in points], "--", color=RUNS[name])
        ax.errorbar(losses, [e.value for e in estimates], [e.standard_error for e in estimates], fmt=MARKERS[name][1],
                    color=RUNS[name], elinewidth=1, alpha=0.6)  # fmt: skip
    ax.invert_xaxis()
    ax.set(xscale="log", xlabel="loss", ylabel="share of negative eigenvalues", title="index along a run")
    ax.legend(title="dashed: clearly negative\ncrosses: by quadrature")


def densities(ax, points):
    """The spectrum at the start, in the middle and at the end."""
    places = points[0], points[len(points) // 4], points[-1]
    for colour, dashes, p in zip(history_axes.COLOURS, DASHES, places, strict=False):
        size = abs(p.eigenvalues).max()
        width = 0.01 * size
        x = np.linspace(p.eigenvalues[0] - 4 * width, size + 4 * width, 400)
        dense = np.exp(-((x[:, None] - p.eigenvalues) ** 2) / (2 * width**2)).mean(1) / np.sqrt(2 * np.pi) / width
        ax.plot(x / size, size * dense, color=colour, linewidth=4, alpha=0.35)
        ax.plot(x / size, size * p.found.density(x, width), dashes, color=colour, label=f"loss {p.loss:.2g}")
    ax.set(yscale="log", ylim=(1e-3, 1e2), xlabel="eigenvalue / largest", title="spectrum: wide dense, thin quadrature")
    ax.legend()


def candidates(ax, points):
    """The candidates' share in the negative space, beside the index, against loss."""
    losses, found = [p.loss for p in points], [shares(p)[0] for p in points]
    for loss, share in zip(losses, found, strict=True):
        ax.plot([loss] * len(share), share, ".", color=RUNS["hessian-bicgstab"], alpha=0.35)
    ax.plot(losses, [np.median(share) for share in found], color=RUNS["hessian-bicgstab"], label="candidates, median")
    ax.plot(losses, [p.index for p in points], "--", color="black", label="index: a random direction")
    ax.invert_xaxis()
    ax.set(xscale="log", xlabel="loss", ylim=(0, 1), title="Bi-CG-STAB's candidates in the negative space")
    ax.legend()


def main(arguments):
    fast = "--fast" in arguments
    folder = Path(next((word for word in arguments if not word.startswith("-")), Path(__file__).parent))
    objective, theta = posed(fast)
    runs = {name: run(objective, theta, name, fast) for name in RUNS}
    text = written(runs)
    (folder / "fig_spectra.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(runs), folder / "fig_spectra.png")


if __name__ == "__main__":
    main(sys.argv[1:])
