"""The known mistakes that the failures of a run look like."""

from collections.abc import Iterable
from typing import NamedTuple

from refhf.conformance.vectors.load_vectors import meanings
from refhf.conformance.vectors.reply_comparison import BAD, GOOD, VectorResult, alike

SMALL = frozenset({"float32", "finite-difference"})  # mistakes that leave some digits right, with an error that varies
LEFT = 4.0  # digits that they leave right at least, our choice
LEAST = 0.5  # share of vectors that a mistake must explain, our choice


class Suspect(NamedTuple):
    """A known mistake that the failures of an operation look like.

    Attributes
    ----------
    operation, flag : str
    explained, failed : int
        Number of wrong replies, and how many of them have the error of this mistake.
    passed : int
        Number of vectors that passed although they catch this mistake.
    """

    operation: str
    flag: str
    explained: int
    failed: int
    passed: int

    def __str__(self) -> str:
        but = f"; but {self.passed} vectors that catch it passed" if self.passed else ""
        share = f"explains {self.explained} of {self.failed}{but}"
        return f"{self.operation}: {self.flag} ({share}): {meanings()[self.flag]}"


def suspects(results: Iterable[VectorResult]) -> list[Suspect]:
    """The flags that explain most failures of each operation.

    A flag explains a failure if the vector has the flag and the error is that of the mistake. Its share is the number
    of explained failures over the number of vectors that fail or have the flag. The flags with the largest share are
    returned, if it is at least a half.
    """
    answered = [result for result in results if result.error is not None]
    found: list[Suspect] = []
    for operation in dict.fromkeys(result.vector.request["operation"] for result in answered):
        mine = [result for result in answered if result.vector.request["operation"] == operation]
        wrong = [result for result in mine if result.verdict in BAD]
        small = all((result.digits or 0.0) >= LEFT for result in wrong)
        shares: dict[Suspect, float] = {}
        for flag in dict.fromkeys(flag for result in wrong for flag in result.vector.flags if (flag in SMALL) == small):
            explained = sum(_explains(result, flag) for result in wrong)
            passed = sum(flag in result.vector.flags for result in mine if result.verdict in GOOD)
            suspect = Suspect(operation, flag, explained, len(wrong), passed)
            shares[suspect] = explained / (len(wrong) + passed)
        most = max([LEAST, *shares.values()])
        found += [suspect for suspect, share in shares.items() if share == most]
    return found


def _explains(result: VectorResult, flag: str) -> bool:
    known = result.vector.flags.get(flag)
    return known is not None and result.error is not None and (flag in SMALL or alike(known, result.error))
