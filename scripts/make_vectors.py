"""Make the test vectors: refhf/conformance/vectors/v1/*.json and their manifest.

    python scripts/make_vectors.py            # write them; refuses to change a vector that the manifest has
    python scripts/make_vectors.py --check    # write nothing; exit status 1 if a file would change
    python scripts/make_vectors.py --only cg  # one topic

A reply is stored only if refhf's and a plain one, of exact or 100-digit arithmetic (scripts/plain), agree; it is the
plain one, rounded to doubles. Flags are measured: the known mistakes (scripts/plain/mistakes.py) that change it.

Nothing that is stored hangs on rounding, which is another with each processor's BLAS:

- Agreement is asked to half the runner's tolerance. On ten combinations of OpenBLAS kernels and NumPy's loops three
  vectors are off by more than 5e-15: hf_step/hessian-bicgstab/uphill by 5e-14 (its rho is a small difference),
  inverse_hessian_product/z-in-the-span and bicgstab/symmetric-indefinite by 1e-14.
- `finite-difference` is computed with a step whose error is the formula's, a thousand times rounding's and more.
- `rank-is-replicas` is wrong by its count. Its product, divided by singular values that are rounding, is dropped.
- No mistake's error may lie near the bound from which on it is a flag.
- Every flag is bracketed: what is on file stays where the error measured is within 1 % of it, as the runner counts two
  errors for the same. All others are equal to ten digits on those ten.
"""

import argparse
import functools
import json
import math
import sys
import warnings
from fractions import Fraction

import numpy as np
from plain import cases, idx, mistakes, network, solvers, steps

from refhf.conformance.vectors.load_vectors import Vector, compact, folder, load, parse
from refhf.conformance.vectors.vector_run import TOLERANCE, alike, judged
from refhf.lab.cli.vectors_command import answer_request

AGREEMENT = TOLERANCE / 2  # relative, of each field: a right reply then passes wherever it is computed
# A mistake that changes a reply by more than the second is caught, by less than the first is not; no error may lie
# between them, where rounding might decide. Around a hundred times the runner's tolerance.
CAUGHT = 7e-11, 5e-10

SWEEPS, SOLVER, METHOD = "refhf, float64: sweeps", "refhf, float64: solver", "refhf, float64: method"
DIFFERENCES = "plain loops, 100 digits: central differences of the loss, step 1e-25"
RATIONAL = "plain loops, exact: fractions"
ROUTES = {
    "nonlinearity": (network.nonlinearity, "refhf, float64: formulas", "1,000 digits: central differences, step 1e-25"),
    "loss": (network.loss, "refhf, float64: formulas", "1,000 digits: central differences, step 1e-25"),
    "gradient": (network.gradient, SWEEPS, DIFFERENCES),
    "hessian_product": (network.hessian_product, SWEEPS, DIFFERENCES),
    "gauss_newton_product": (network.gauss_newton_product, SWEEPS, DIFFERENCES),
    "cg": (solvers.cg_trace, SOLVER, RATIONAL),
    "bicgstab": (solvers.bicgstab_trace, SOLVER, RATIONAL),
    "solve": (solvers.solve_until, SOLVER, RATIONAL),
    "damping": (steps.damping, METHOD, RATIONAL),
    "line_search": (steps.line_search, METHOD, RATIONAL),
    "hf_step": (steps.hf_step, METHOD, "plain loops, 100 digits: matrices of central differences of the loss"),
    "nlcg": (steps.nlcg, METHOD, RATIONAL),
    "inverse_hessian_product": (solvers.inverse_hessian_product, METHOD, "exact: fractions, normal equations"),
    "saddle": (solvers.saddle, "refhf, float64: formulas", "exact: fractions"),
    "stationary_point": (solvers.stationary_point, "refhf: table", "exact: fractions"),
    "idx": (idx.idx, "refhf: reader", "plain parser: struct, gzip"),
}
CONVENTION = "definition: f'(0) = f''(0) = 0"


class Disagreement(Exception):  # noqa: N818 : says what it is
    """Two routes to one reply do not agree."""


def rounded(value):
    """A reply in JSON's types: the nearest doubles, and words for what is not finite."""
    if isinstance(value, list | tuple):
        return [rounded(x) for x in value]
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    x = float(Fraction(value)) if isinstance(value, Fraction) else float(value)
    return x if math.isfinite(x) else str(x)


def made(topic, name, request):
    """The vector of a request, its reply agreed on by two routes."""
    route, ours, theirs = ROUTES[request["operation"]]
    if request.get("nonlinearity") == "relu" and request["operation"] == "nonlinearity":
        theirs = CONVENTION
    reply = rounded_reply(route(request))
    vector = Vector(f"{topic}/{name}", topic, {}, request, reply, (ours, theirs))
    result = judged(vector, answer_request(request), AGREEMENT)
    if result.reason:
        raise Disagreement(f"{vector.id}: {result.reason}")
    return vector._replace(flags=dict(flags(vector)))


def rounded_reply(reply):
    """Each field of a reply, rounded."""
    return {key: rounded(value) for key, value in reply.items()}


def flags(vector):
    """The mistakes that change the reply, each with its relative error; the computation without one must not."""
    operation, names = mistakes.MISTAKES[vector.request["operation"]]
    low, high = CAUGHT
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        right = judged(vector, rounded_reply(operation(vector.request, None)), low)
        if right.reason:
            raise Disagreement(f"{vector.id}: the textbook's computation, without a mistake: {right.reason}")
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
    """The flags of each vector that is there."""
    return {vector.id: vector.flags for vector in load()} if (folder() / "MANIFEST").is_file() else {}


def bracketed(vector, flag, error):
    """A flag's error rounded, or as it is on file where that is alike."""
    known = on_file().get(vector.id, {}).get(flag)
    if known is not None and alike(known, error):
        return known
    return float(f"{error:.3g}") if error < math.inf else "inf"


def document(topic, vectors):
    """The text of a file: a vector a line."""
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
    head = compact({"version": 1, "topic": topic, "about": cases.TOPICS[topic][0]})[:-1]
    return head + ',"vectors":[\n' + ",\n".join(lines) + "\n]}\n"


def main():
    """Make, compare with what is there, write."""
    parser = argparse.ArgumentParser(description="Make the test vectors.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--only", metavar="TOPIC", choices=cases.TOPICS, help="one topic, not checked against the rest")
    args = parser.parse_args()
    manifest, texts, lost = folder() / "MANIFEST", {}, []
    known = dict(line.split() for line in manifest.read_text().splitlines()) if manifest.is_file() else {}
    for topic in [args.only] if args.only else cases.TOPICS:
        vectors = []
        for name, request in cases.TOPICS[topic][1]():
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
