"""Make the test vectors: refhf/conformance/vectors/v1/*.json and their manifest.

    python tests/make_vectors.py            # write them; refuses to change a vector that is in the manifest
    python tests/make_vectors.py --check    # write nothing; exit status 1 if a file would change
    python tests/make_vectors.py --only cg  # one topic

Each reply is computed twice: by refhf in float64, and by `tests/oracle` in exact or 100-digit arithmetic. It is stored
only if the two agree; the stored numbers are the oracle's, rounded to doubles. Flags are measured: they are the known
mistakes (`tests/oracle/mistake_table.py`) that change the reply.

No stored byte depends on rounding, which differs between processors and BLAS kernels:

- The two replies must agree to half the runner's tolerance. On ten combinations of OpenBLAS kernels and NumPy loops
  three vectors differ by more than 5e-15: hf_step/hessian-bicgstab/uphill by 5e-14 (its rho is a small difference),
  inverse_hessian_product/z-in-the-span and bicgstab/symmetric-indefinite by 1e-14.
- `finite-difference` uses a step at which the truncation error exceeds rounding at least a thousandfold.
- `rank-is-replicas` reports a wrong rank only. Its product would be divided by rounding, so the right one is returned.
- No mistake may have an error near the threshold at which it becomes a flag.
- A flag on file is kept if the error measured now is within 1 % of it, the runner's own criterion for equal errors.
  All other flags agree to ten digits on those ten combinations.
"""

import argparse
import functools
import json
import math
import sys
import warnings
from fractions import Fraction

import numpy as np
from oracle import exact_blocks, exact_networks, exact_solvers, exact_steps, idx_parser, mistake_table, topics

from refhf.conformance.vectors.load_vectors import Vector, compact, folder, load, parse
from refhf.conformance.vectors.reply_comparison import TOLERANCE, alike, judged
from refhf.conformance.vectors.vector_operations import reply_to

AGREEMENT = TOLERANCE / 2  # relative, for each field: a right reply then passes on every processor
# Relative errors. A mistake above the second becomes a flag, one below the first does not, and none may lie between
# them, where rounding would decide. About a hundred times the runner's tolerance.
CAUGHT = 7e-11, 5e-10

SWEEPS, SOLVER, METHOD = "refhf, float64: sweeps", "refhf, float64: solver", "refhf, float64: method"
DIFFERENCES = "plain loops, 100 digits: central differences of the loss, step 1e-25"
RATIONAL = "plain loops, exact: fractions"
ROUTES = {
    "nonlinearity": (
        exact_networks.nonlinearity,
        "refhf, float64: formulas",
        "1,000 digits: central differences, step 1e-25",
    ),
    "loss": (exact_networks.loss, "refhf, float64: formulas", "1,000 digits: central differences, step 1e-25"),
    "gradient": (exact_networks.gradient, SWEEPS, DIFFERENCES),
    "hessian_product": (exact_networks.hessian_product, SWEEPS, DIFFERENCES),
    "gauss_newton_product": (exact_networks.gauss_newton_product, SWEEPS, DIFFERENCES),
    "cg": (exact_solvers.cg_trace, SOLVER, RATIONAL),
    "bicgstab": (exact_solvers.bicgstab_trace, SOLVER, RATIONAL),
    "solve": (exact_solvers.solve_until, SOLVER, RATIONAL),
    "damping": (exact_steps.damping, METHOD, RATIONAL),
    "line_search": (exact_steps.line_search, METHOD, RATIONAL),
    "hf_step": (exact_steps.hf_step, METHOD, "plain loops, 100 digits: matrices of central differences of the loss"),
    "nlcg": (exact_steps.nlcg, METHOD, RATIONAL),
    "inverse_hessian_product": (exact_solvers.inverse_hessian_product, METHOD, "exact: fractions, normal equations"),
    "saddle": (exact_solvers.saddle, "refhf, float64: formulas", "exact: fractions"),
    "stationary_point": (exact_solvers.stationary_point, "refhf: table", "exact: fractions"),
    "idx": (idx_parser.idx, "refhf: reader", "plain parser: struct, gzip"),
}
CONVENTION = "definition: f'(0) = f''(0) = 0"


class Disagreement(Exception):  # noqa: N818 : the name is the outcome
    """The two computations of a reply do not agree, or rounding decides whether a mistake is a flag."""


def rounded(value):
    """A value in JSON types: the nearest double, or the word for a number that is not finite."""
    if isinstance(value, list | tuple):
        return [rounded(x) for x in value]
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    x = float(Fraction(value)) if isinstance(value, Fraction) else float(value)
    return x if math.isfinite(x) else str(x)


def made(topic, name, request):
    """The vector of a request; `Disagreement` if the two computations differ."""
    route, ours, theirs = ROUTES[request["operation"]]
    if "blocks" in request:
        route = getattr(exact_blocks, request["operation"])
    if request.get("nonlinearity") == "relu" and request["operation"] == "nonlinearity":
        theirs = CONVENTION
    reply = rounded_reply(route(request))
    vector = Vector(f"{topic}/{name}", topic, {}, request, reply, (ours, theirs))
    result = judged(vector, reply_to(request), AGREEMENT)
    if result.reason:
        raise Disagreement(f"{vector.id}: {result.reason}")
    return vector._replace(flags=dict(flags(vector)))


def rounded_reply(reply):
    """A reply with each field rounded."""
    return {key: rounded(value) for key, value in reply.items()}


def flags(vector):
    """Yield the mistakes that change the reply, with their relative errors.

    The same computation without a mistake must reproduce the reply.
    """
    operation, names = mistake_table.MISTAKES[vector.request["operation"]]
    low, high = CAUGHT
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        right = judged(vector, rounded_reply(operation(vector.request, None)), low)
        if right.reason:
            raise Disagreement(f"{vector.id}: the textbook computation without a mistake: {right.reason}")
        for name in names:
            try:
                error = judged(vector, rounded_reply(operation(vector.request, name)), low).error
            except (ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError):
                error = math.inf
            if low < error < high:
                raise Disagreement(f"{vector.id}: {name}: off by {error:.1e}: rounding decides whether it is caught")
            if error >= high:
                yield name, bracketed(vector, name, error)


@functools.cache
def on_file():
    """The flags of each stored vector."""
    return {vector.id: vector.flags for vector in load()} if (folder() / "MANIFEST").is_file() else {}


def bracketed(vector, flag, error):
    """The error of a flag, rounded; the value on file if the two are alike."""
    known = on_file().get(vector.id, {}).get(flag)
    if known is not None and alike(known, error):
        return known
    return float(f"{error:.3g}") if error < math.inf else "inf"


def document(topic, vectors):
    """The text of a vector file, one vector a line."""
    lines = [
        compact(
            {
                "name": v.id.split("/", 1)[1],
                "flags": v.flags,
                "routes": v.routes,
                "request": v.request,
                "reply": v.reply,
            }
        )
        for v in vectors
    ]
    head = compact({"version": 1, "topic": topic, "about": topics.TOPICS[topic][0]})[:-1]
    return head + ',"vectors":[\n' + ",\n".join(lines) + "\n]}\n"


def main():
    """Compute all vectors, compare them with the files, write the files that change."""
    parser = argparse.ArgumentParser(description="Make the test vectors.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument(
        "--only", metavar="TOPIC", choices=topics.TOPICS, help="one topic only; the others are left as they are"
    )
    args = parser.parse_args()
    manifest, texts, lost = folder() / "MANIFEST", {}, []
    known = dict(line.split() for line in manifest.read_text().splitlines()) if manifest.is_file() else {}
    for topic in [args.only] if args.only else topics.TOPICS:
        vectors = []
        for name, request in topics.TOPICS[topic][1]():
            try:
                vectors.append(made(topic, name, request))
            except Disagreement as error:
                lost.append(str(error))
        texts[f"{topic}.json"] = document(topic, vectors)
        print(f"{topic:<24}{len(vectors):>4} vectors {len(texts[f'{topic}.json']):>8} bytes", file=sys.stderr)
    made_now = {v.id: v.digest for text in texts.values() for v in parse(json.loads(text))}
    mine = {i: d for i, d in known.items() if not args.only or i.startswith(args.only + "/")}
    lost += [f"{i}: in the manifest, and changed or gone" for i, d in mine.items() if made_now.get(i) != d]
    if lost:
        sys.exit("\n".join(["not written:", *lost]))
    everything = known | made_now
    texts["MANIFEST"] = "".join(f"{i} {d}\n" for i, d in everything.items())
    changed = [
        name for name, text in texts.items() if not (folder() / name).is_file() or (folder() / name).read_text() != text
    ]
    if args.check:
        sys.exit(f"would change: {', '.join(changed)}" if changed else None)
    for name in changed:
        (folder() / name).write_text(texts[name], encoding="utf-8")


if __name__ == "__main__":
    main()
