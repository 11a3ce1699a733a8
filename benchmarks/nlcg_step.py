"""Cost of a step of nonlinear CG relative to momentum; Adya et al. 2018, section 4, report 15 to 30 % more.

`python benchmarks/nlcg_step.py` prints the ratio of the times of a step, and the vectors (P,) that a method holds at
its peak. P = 400,000, batch 2,048. The methods take turns step by step in one run, on the same mini-batches; each ratio
is of neighbours in time, and the median of all is given with its quartiles. Times are the processor's, so that what
else runs on the machine counts little.
"""

import argparse
import time
import tracemalloc

import numpy as np

import refhf
from refhf.driver.registry import METHODS

SIZES, CASES, BATCH = [784, 404, 200, 10], 8192, 2048
RIVALS = "sgd", "rmsprop", "nlcg-fr", "nlcg-pr"


class Runner:
    """A method that takes one step at a time."""

    def __init__(self, name, objective, theta):
        self.family, fixed = METHODS[name].family, METHODS[name].fixed
        self.options = self.family.check(self.family.options(**fixed, batch=BATCH, learning_rate=0.01), objective)
        self.objective, self.state, self.k = (
            objective,
            self.family.init(theta, self.options, np.random.default_rng(0)),
            0,
        )

    def seconds(self):
        """The time of the next step."""
        self.k += 1
        begin = time.process_time()
        self.state, _ = self.family.step(
            self.state, self.objective, self.options, self.k, np.random.default_rng([0, self.k])
        )
        return time.process_time() - begin


def vectors(name, size):
    """The most vectors (P,) that three steps of a method hold at once, the caller's gradient included."""
    objective = refhf.from_functions(lambda x: float(x @ x) / 2, lambda x: x)
    family, fixed = METHODS[name].family, METHODS[name].fixed
    options = family.check(family.options(**fixed), objective)
    tracemalloc.start()
    state = family.init(np.linspace(1, 2, size), options, np.random.default_rng(0))
    for k in range(1, 4):
        state = family.step(state, objective, options, k, None)[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / (8 * size)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="steps of each method; default: %(default)s")
    rounds = parser.parse_args().rounds
    rng, net = np.random.default_rng(0), refhf.mlp(SIZES)
    print(f"{'dtype':9}{'method':10}{'times momentum':>16}{'quartiles':>14}{'ms a step':>11}{'vectors':>9}")
    for dtype in (np.float32, np.float64):
        X, y = rng.random((CASES, SIZES[0]), dtype), rng.integers(SIZES[-1], size=CASES)
        objective, theta = refhf.supervised(net, X, y), net.init(rng=0, dtype=dtype)
        runners = {name: Runner(name, objective, theta) for name in ("momentum", *RIVALS)}
        for runner in runners.values():
            runner.seconds(), runner.seconds()  # the preconditioner is there from the second on
        times = {name: [] for name in runners}
        for _ in range(rounds):
            for name, runner in runners.items():
                times[name].append(runner.seconds())
        for name, took in times.items():
            ratios = np.array(took) / times["momentum"]
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            spread, peak = f"{low:.2f} - {high:.2f}", vectors(name, net.size)
            print(
                f"{np.dtype(dtype).name:9}{name:10}{middle:16.2f}{spread:>14}{np.median(took) * 1e3:11.1f}{peak:9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
