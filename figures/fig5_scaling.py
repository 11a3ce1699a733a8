"""Figure 5 of He et al. 2016: how an iteration and its parts scale over ranks, measured on few, predicted for many.

    python figures/fig5_scaling.py [--fast] [FOLDER]

writes fig5_scaling.png and fig5_scaling.txt, by default into this folder, from fig5_scaling.jsonl beside it,
which `python benchmarks/scaling.py --lines figures/fig5_scaling.jsonl` has measured (eight minutes of two idle cores).

Marks are measured, on as many ranks as the machine has cores. Lines are what `refhf.parallel.cost_model` predicts for
ranks like these, a core each, on two networks:

    near       the latency and bandwidth that the model was fitted to: two ranks that share memory, their caches cold.
               The paper's Omni-Path (100 Gbit/s) has a bandwidth of the same order
    Ethernet   50 us and 10 Gbit/s, our choice

Claim H7 of the paper is judged from it in figures/he_2016.md. --fast draws few points of each line.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import scaling  # noqa: E402

from refhf.lab.plots import history_axes, run_figures  # noqa: E402
from refhf.lab.runs.json_lines import read_json_lines  # noqa: E402
from refhf.parallel import cost_model  # noqa: E402

NETWORK, SIZES, CASES = "timit", scaling.NETWORKS["timit"], scaling.TIMIT_CASES
LATENCY, BANDWIDTH = 50e-6, 1.25e9  # Ethernet
MOST = 10_000
BATCH, SMALL = 4096, 128  # of CG, and of SGD (what section 3's example is about)
NODES = 16  # ranks of the paper's Figure 3
SHOWN = 512, 2048, 4096, 8192  # mini-batches of CG
GREY = {"gradient": "--", "line_search": ":"}
DASHES = "-", (0, (7, 2)), (0, (4, 1, 1, 1)), (0, (2, 1))  # so that lines differ in greyscale too
DRAWS = 40  # of the rounds, for the uncertainty; our choice
WORTH = 3, 10, 30  # iterations of HF that may be needed for what an epoch of SGD does
TOLD = 1, 2, 4, 16, 32, 64, 256, 1024, MOST
LOOKS = {
    part: (history_axes.COLOURS[i], history_axes.MARKERS[i])
    for part, i in zip(scaling.PARTS, (0, 1, 2, 6), strict=True)
}
NAMES = dict(
    zip(scaling.PARTS, ("full gradient", "CG, 10 iterations", "line search, a value", "iteration"), strict=True)
)


def step(batch):
    """The parts of an iteration of gn-cg."""
    return cost_model.hf_iteration(CASES, batch, scaling.PRODUCTS, 1)


def iteration_of_cg(batch, ranks, each=False):
    """A product and the vectors that go with it; with `each`, every rank has a mini-batch of its own."""
    cases, drawn = (batch * ranks, False) if each else (batch, True)
    return cost_model.Evaluations("gauss-newton", cases, 1, drawn), cost_model.Evaluations("solver", 0, 1)


def seconds(machine, plan, ranks):
    """Seconds of a plan, or of the plans that a function of the number of ranks returns."""
    if np.ndim(ranks):
        return np.array([seconds(machine, plan(int(n)), int(n)) for n in ranks])
    return cost_model.seconds(machine, SIZES, plan, ranks).total


def parts_over(machine, batch, ranks):
    """Seconds of the parts of an iteration over numbers of ranks."""
    found = [cost_model.predict(machine, SIZES, step(batch), int(n)) for n in ranks]
    return {part: np.array([one[part].total for one in found]) for part in scaling.PARTS}


def grid(fast):
    """Numbers of ranks, evenly on a log axis."""
    return np.unique(np.geomspace(1, MOST, 9 if fast else 60).round().astype(int))


# ----- tables


def predictions(machine) -> str:
    """Seconds of the parts, how much faster than one rank, and how much of it is communication."""
    one = cost_model.predict(machine, SIZES, step(BATCH), 1)
    rows = [["ranks", *(cell for part in scaling.PARTS for cell in (NAMES[part].partition(",")[0], "x", "sent"))]]
    for ranks in TOLD:
        parts = cost_model.predict(machine, SIZES, step(BATCH), ranks)
        cells = (
            (f"{parts[p].total:.3g}", f"{one[p].total / parts[p].total:.4g}", share(parts[p])) for p in scaling.PARTS
        )
        rows.append([str(ranks), *(cell for three in cells for cell in three)])
    return scaling.columns(rows)


def share(seconds):
    return f"{seconds.communicate / seconds.total:.0%}"


def batches(machine) -> str:
    """Speed-up of an iteration over one rank, for each CG mini-batch."""
    times = [parts_over(machine, b, TOLD)["iteration"] for b in scaling.BATCHES]
    faster = np.array([one[0] / one for one in times]).T
    rows = [["ranks", *(f"b = {b}" for b in scaling.BATCHES)]]
    return scaling.columns(rows + [[str(n), *(f"{x:.4g}" for x in row)] for n, row in zip(TOLD, faster, strict=True)])


def one_cg(machine) -> str:
    """Milliseconds of one iteration of CG."""
    rows = [["ranks", *(f"b = {b}" for b in scaling.BATCHES), f"{BATCH} a rank", "full gradient", "a full value"]]
    for ranks in TOLD:
        plans = [iteration_of_cg(b, ranks) for b in scaling.BATCHES] + [iteration_of_cg(BATCH, ranks, each=True)]
        plans += [step(BATCH)["gradient"], step(BATCH)["line_search"]]
        rows.append([str(ranks), *(f"{1e3 * seconds(machine, plan, ranks):.3g}" for plan in plans)])
    return scaling.columns(rows)


def uncertain(lines) -> str:
    """Seconds of an iteration, from where to where they may lie; share of them that a layer's overlap could hide."""
    times = [t for t in scaling.measured(lines) if t.network == NETWORK]
    held = [t for t in times if t.part and not scaling.is_fitted(t)]
    fitted = scaling.machine(times, NETWORK)
    off = max(abs(scaling.predicted(fitted, t, CASES) / t.best - 1) for t in held)
    rng, machines = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rounds = {t[:5]: rng.integers(len(t.seconds), size=len(t.seconds)) for t in times}
        drawn = [t._replace(seconds=_at(t.seconds, rounds[t[:5]]), shares=_at(t.shares, rounds[t[:5]])) for t in times]
        machines.append(scaling.machine(drawn, NETWORK))
    rows = [["ranks", "iteration", "from", "to", "hidden at most", "of it CG's", "on Ethernet"]]
    for ranks in TOLD:
        found = [
            cost_model.predict(m._replace(algorithm=name), SIZES, step(BATCH), ranks)["iteration"].total
            for m in machines
            for name in cost_model.ALGORITHMS
        ]
        low, high = np.quantile(found, (0.05, 0.95)) * (1 - off, 1 + off)
        near = cost_model.predict(fitted, SIZES, step(BATCH), ranks)
        far = cost_model.predict(fitted.network(LATENCY, BANDWIDTH), SIZES, step(BATCH), ranks)
        gains = near["iteration"].communicate / near["iteration"].total, near["cg"].communicate / near["cg"].total
        shares = *gains, far["iteration"].communicate / far["iteration"].total
        rows.append(
            [str(ranks), *(f"{x:.3g}" for x in (near["iteration"].total, low, high)), *map("{:.0%}".format, shares)]
        )
    return scaling.columns(rows)


def _at(values, chosen):
    return tuple(values[i] for i in chosen)


def crossings(machines) -> str:
    """The factor of network slow-down at which iterations of HF become faster than an epoch of SGD."""
    rows = [["ranks", *(f"{network} {worth} to 1" for network in machines for worth in (1, *WORTH))]]
    for ranks in TOLD:
        found = (crossing(m, worth, ranks) for m in machines.values() for worth in (1, *WORTH))
        rows.append([str(ranks), *(f"{x:.3g}" for x in found)])
    return scaling.columns(rows)


def crossing(machine, worth, ranks):
    return cost_model.crossing(machine, SIZES, cost_model.sgd_epoch(CASES, SMALL), several(worth), ranks)


def several(worth):
    """So many iterations of HF, as one plan."""
    return [one._replace(times=worth * one.times) for part in step(BATCH).values() for one in part]


def written(lines, machines) -> str:
    near = machines["near"]
    found = near.seconds
    parts = {
        "Measured, and predicted by the model": scaling.table(lines),
        f"Predicted, {'-'.join(map(str, SIZES))}, {CASES:,} cases, CG on {BATCH}: seconds, how many times faster than\n"
        f"one rank, share of communication. Near: {1e6 * found['messages']:.2g} us, {1e-9 / found['bytes']:.2g} GB/s": (
            predictions(near)
        ),
        f"The same on Ethernet, {1e6 * LATENCY:.0f} us, {1e-9 * BANDWIDTH:.3g} GB/s": predictions(machines["Ethernet"]),
        "Seconds of an iteration, near, and where they lie in 90 % of draws of the rounds with any of 3 algorithms,\n"
        "widened by the largest error of steps that no fit has seen; the share that is communication, the most that\n"
        "overlap with computation can hide: near, in CG, and on Ethernet": uncertain(lines),
        "Times faster than on one rank, an iteration by the mini-batch of its CG, near": batches(near),
        "One iteration of CG, milliseconds, near": one_cg(near),
        f"How many times slower the network has to be for HF (CG on {BATCH}) to take less time than SGD (on {SMALL}), "
        "if an epoch\nof SGD is worth so many iterations; 0: on any network, inf: on none": crossings(machines),
    }
    return "\n\n".join(f"{title}.\n\n{table}" for title, table in parts.items()) + "\n"


# ----- the picture


def draw_parts(ax, machines, times, ranks):
    """Seconds of an iteration and its parts."""
    for network, style in zip(machines, ("-", ":"), strict=True):
        for part, line in parts_over(machines[network], BATCH, ranks).items():
            ax.plot(ranks, line, style, color=LOOKS[part][0])
    for part, (colour, marker) in LOOKS.items():
        ax.plot([], [], "-", marker=marker, color=colour, markersize=11, markeredgecolor="white", label=NAMES[part])
    for part, look in LOOKS.items():
        marks(ax, times, part, BATCH, look)
    ax.plot([], [], ":", color=history_axes.QUIET, label="on Ethernet")
    ax.set(xscale="log", yscale="log", ylabel="seconds")
    ax.set_title(f"An iteration and its parts, CG on {BATCH:,}", loc="left")
    ax.legend(loc="lower left")


def marks(ax, times, part, batch, look, relative=False):
    """The measured best of the rounds, or the speed-up per rank over one rank."""
    here = {t.ranks: t.best for t in times if (t.network, t.what, t.cases, t.part) == (NETWORK, "hf", batch, part)}
    y = [here[1] / best / n if relative else best for n, best in here.items()]
    ax.plot(list(here), y, look[1], color=look[0], markersize=11, markeredgecolor="white", zorder=3)


def draw_efficiency(ax, machine, times, ranks):
    """Times faster than one rank, a rank: iterations by the mini-batch of their CG, and the parts that have none."""
    for b, look, style in zip(SHOWN, LOOKS.values(), DASHES, strict=True):
        line = parts_over(machine, b, ranks)["iteration"]
        ax.plot(ranks, line[0] / line / ranks, color=look[0], linestyle=style, label=f"iteration, CG on {b:,}")
        if b in scaling.STEPS:
            marks(ax, times, "iteration", b, look, relative=True)
    for part, style in GREY.items():
        line = parts_over(machine, BATCH, ranks)[part]
        ax.plot(ranks, line[0] / line / ranks, style, color=history_axes.QUIET, label=NAMES[part])
    ax.set(xscale="log", ylim=(0, 1.05), ylabel="times faster than one rank, a rank")
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    ax.set_title("What a rank adds: 100 % is linear", loc="left")
    ax.legend(loc="lower left")


def draw_cg(ax, machine, ranks):
    """Seconds of one iteration of CG, beside what it is compared with."""
    for b, (colour, _), style in zip(SHOWN, LOOKS.values(), DASHES, strict=True):
        line = seconds(machine, lambda n, b=b: iteration_of_cg(b, n), ranks)
        ax.plot(ranks, line, color=colour, linestyle=style, label=f"on {b:,} of all ranks")
    each = seconds(machine, lambda n: iteration_of_cg(BATCH, n, each=True), ranks)
    ax.plot(ranks, each, color=history_axes.COLOURS[4], linewidth=4, label=f"on {BATCH:,} of each rank")
    for part, style in GREY.items():
        ax.plot(ranks, parts_over(machine, BATCH, ranks)[part], style, color=history_axes.QUIET, label=NAMES[part])
    ax.set(xscale="log", yscale="log", ylabel="seconds", ylim=(2e-3, 4e2))
    ax.set_title("One iteration of CG, beside full gradient and value", loc="left")
    ax.legend(loc="upper right", ncols=2)


def draw_crossing(ax, machine, fast):
    """Seconds of an epoch of SGD and of iterations of HF, as the network slows."""
    slower = np.geomspace(1, 1000, 9 if fast else 60)
    alpha, beta = machine.seconds["messages"], machine.seconds["bytes"]
    networks = [machine.network(alpha * x, 1 / beta / x) for x in slower]
    sgd = cost_model.sgd_epoch(CASES, SMALL)
    ax.plot(slower, [seconds(m, sgd, NODES) for m in networks], color="black", label=f"SGD on {SMALL}: an epoch")
    for worth, (colour, marker), style in zip(WORTH, LOOKS.values(), DASHES[1:], strict=False):
        line = [seconds(m, several(worth), NODES) for m in networks]
        ax.plot(slower, line, color=colour, linestyle=style, label=f"HF: {worth} iterations")
        at = crossing(machine, worth, NODES)
        if 1 <= at <= slower[-1]:
            there = seconds(machine.network(alpha * at, 1 / beta / at), sgd, NODES)
            ax.plot(at, there, marker, color=colour, markersize=12, markeredgecolor="white", zorder=3)
    ax.set(xscale="log", yscale="log", ylabel="seconds", xlabel="times slower than near, latency and bandwidth alike")
    ax.set_title(f"{NODES} ranks: where HF (CG on {BATCH:,}) overtakes SGD", loc="left")
    ax.legend(loc="upper left")


def figure(lines, machines, fast):
    from matplotlib.figure import Figure

    times, ranks, near = scaling.measured(lines), grid(fast), machines["near"]
    with run_figures.figure_style():
        drawn = Figure(figsize=(18, 13), layout="constrained")
        (parts, efficiency), (cg, last) = drawn.subplots(2, 2)
        draw_parts(parts, machines, times, ranks)
        draw_efficiency(efficiency, near, times, ranks)
        draw_cg(cg, near, ranks)
        draw_crossing(last, near, fast)
        for ax in (parts, efficiency, cg):
            ax.set_xlabel("ranks (marks: measured; lines: predicted)")
        drawn.suptitle(HEADLINE, x=0.01, ha="left", size=19, weight="bold")
    return drawn


HEADLINE = "Full gradient and line search scale to hundreds of ranks; CG, whose vectors every rank repeats, does not"


def main(arguments):
    fast = "--fast" in arguments
    here = Path(__file__).parent
    folder = Path(next((word for word in arguments if not word.startswith("-")), here))
    lines = read_json_lines(here / "fig5_scaling.jsonl")
    if not lines:
        sys.exit("fig5_scaling.jsonl: expected what benchmarks/scaling.py measures; got nothing. See --help there")
    near = scaling.machine(scaling.measured(lines), NETWORK)
    machines = {"near": near, "Ethernet": near.network(LATENCY, BANDWIDTH)}
    text = written(lines, machines)
    (folder / "fig5_scaling.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    run_figures.save_figure(figure(lines, machines, fast), folder / "fig5_scaling.png")


if __name__ == "__main__":
    main(sys.argv[1:])
