"""Report of a comparison of recipes: a line for each, the oracle's digits, and what the comparison can find."""

import textwrap
from typing import Any, NamedTuple

from refhf.text import Word, html_table

SCOPE = (
    "It can find a wrong rule of a first or second derivative that shows at this theta, on these cases, along {n} "
    "random directions, by more than the detection limit; a fault in a few of the P parameters shows less than in all. "
    "It cannot find a fault of the value f, which every recipe inherits, nor one that shows only at another theta or "
    "shape, in another precision or on another device: the recipes ran in float64 on copies on the CPU."
)


class RecipeVerdict(Word):
    """The outcome of a recipe; the value is its line in a report."""

    AGREES = "agrees to {digits:.1f} digits"
    DIFFERS = "DIFFERS by {error:.2g}"
    UNDECIDED = "undecided: the oracle has no digits here"
    RAISES = "RAISES"
    UNSUPPORTED = "unsupported"


COUNTED = {
    RecipeVerdict.AGREES: "right",
    RecipeVerdict.DIFFERS: "wrong",
    RecipeVerdict.RAISES: "raising an exception",
    RecipeVerdict.UNSUPPORTED: "unsupported",
    RecipeVerdict.UNDECIDED: "undecided",
}


class RecipeResult(NamedTuple):
    """The result of one recipe.

    Attributes
    ----------
    name : str
    order : int
        1 for a gradient, 2 for a Hessian product.
    verdict : RecipeVerdict
    error : float or None
        The error relative to the oracle; None if there is no result.
    digits : float
        Digits of agreement with the oracle.
    remarks : tuple of str
        That a product is not symmetric, what was raised, which other recipes have the same wrong result.
    """

    name: str
    order: int
    verdict: RecipeVerdict
    error: float | None = None
    digits: float = 0.0
    remarks: tuple[str, ...] = ()

    def line(self, width: int = 0) -> str:
        """The outcome in one line."""
        shown = self.verdict.value.format(digits=self.digits, error=self.error)
        return f"{self.name:<{width}}  {'; '.join([shown, *self.remarks])}"


class RecipeReport(NamedTuple):
    """The result of a comparison; its string has a line for each recipe.

    Attributes
    ----------
    subject : str
    results : tuple of RecipeResult
    oracles : tuple of (str, float)
        Each oracle with its digits.
    limits : tuple of (str, float)
        The relative error from which on a fault shows, measured: of gradients, Hessian products, and products v'H w.
    directions : int
        The number of random directions.
    """

    subject: str
    results: tuple[RecipeResult, ...]
    oracles: tuple[tuple[str, float], ...]
    limits: tuple[tuple[str, float], ...]
    directions: int

    def of(self, verdict: RecipeVerdict) -> tuple[str, ...]:
        """The names of the recipes with this outcome."""
        return tuple(result.name for result in self.results if result.verdict is verdict)

    @property
    def passed(self) -> bool:
        """True if a gradient and a Hessian product agree with the oracle, and no recipe differs or raises."""
        fine = {RecipeVerdict.AGREES, RecipeVerdict.UNSUPPORTED}
        agreeing = {result.order for result in self.results if result.verdict is RecipeVerdict.AGREES}
        return agreeing == {1, 2} and all(result.verdict in fine for result in self.results)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        counts = ", ".join(f"{len(self.of(v))} {word}" for v, word in COUNTED.items() if self.of(v))
        wrong = self.of(RecipeVerdict.DIFFERS)
        return (
            f"{'right' if self.passed else 'wrong' if wrong else 'incomplete'}: of {len(self.results)} recipes {counts}"
        )

    def __repr__(self) -> str:
        bad = [r for r in self.results if r.verdict in (RecipeVerdict.DIFFERS, RecipeVerdict.RAISES)]
        return "\n".join([f"{self.subject}: {self.verdict}", *(f"  {result.line()}" for result in bad[:2])])

    def _repr_html_(self) -> str:
        rows = (
            (r.name, str(r.verdict), "" if r.error is None else r.error, r.digits, "; ".join(r.remarks))
            for r in self.results
        )
        return html_table(("recipe", "outcome", "error", "digits", "remarks"), rows, caption=repr(self))

    def __str__(self) -> str:
        width = max([len(result.name) for result in self.results], default=0)
        lines = [f"{self.subject}: {self.verdict}"]
        for order, title in ((1, "gradients"), (2, "Hessian products")):
            lines += [title, *(f"  {result.line(width)}" for result in self.results if result.order == order)]
        lines += [f"oracle: {name}, {digits:.1f} digits" for name, digits in self.oracles]
        if self.limits:
            limits = ", ".join(f"{limit:.0e} in {name}" for name, limit in self.limits)
            lines.append(f"detection limit, as a relative error: {limits}")
        return "\n".join(lines + textwrap.wrap(SCOPE.format(n=self.directions), 118))

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "verdict": self.verdict,
            "results": [{**r._asdict(), "verdict": str(r.verdict), "remarks": list(r.remarks)} for r in self.results],
            "oracles": dict(self.oracles),
            "limits": dict(self.limits),
            "directions": self.directions,
        }
