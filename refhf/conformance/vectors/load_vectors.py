"""Reads the test vectors: requests with their right replies. README.md documents them."""

import hashlib
import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from refhf import checks

VERSION = "v1"
RELEASE = "1.1.0"  # of the vectors, not of refhf: CHANGELOG.md beside this file


class Vector(NamedTuple):
    """One test vector.

    Attributes
    ----------
    id : str
        'topic/name'; never reused.
    topic : str
        The name of the file.
    flags : dict
        The known mistakes that the vector catches, each with its relative error: a number, or 'inf' if a word is wrong
        or a number is not finite.
    request, reply : dict
        Numbers, strings, booleans, and flat lists of them.
    routes : tuple of str
        The two computations that agree on the reply to half the runner's tolerance.
    """

    id: str
    topic: str
    flags: dict[str, Any]
    request: dict[str, Any]
    reply: dict[str, Any]
    routes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A digest of request and reply, which never change."""
        return hashlib.sha256(compact([self.request, self.reply]).encode()).hexdigest()[:16]


def of_topics(given: str) -> tuple[Vector, ...]:
    """The vectors of a list of topics, with spaces or commas between them; all if it is empty.

    Raises
    ------
    ValueError
        For a topic that there is not, with the nearest one.
    """
    known = list(dict.fromkeys(vector.topic for vector in load()))
    chosen = {checks.choice("topics", name, known) for name in given.replace(",", " ").split()} or {*known}
    return tuple(vector for vector in load() if vector.topic in chosen)


@cache
def meanings() -> dict[str, str]:
    """The meaning of each flag, in words."""
    text = (resources.files("refhf.conformance.vectors") / "flags.json").read_text(encoding="utf-8")
    return json.loads(text)


def compact(value: Any) -> str:
    """JSON in one line without spaces outside of strings."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def folder() -> Traversable:
    """The folder of this version's files."""
    return resources.files("refhf.conformance.vectors") / VERSION


@cache
def load() -> tuple[Vector, ...]:
    """All vectors in the order of the manifest."""
    manifest = (folder() / "MANIFEST").read_text(encoding="utf-8")
    order = {line.split()[0]: k for k, line in enumerate(manifest.splitlines())}
    files = [file for file in folder().iterdir() if file.name.endswith(".json")]
    vectors = [vector for file in files for vector in parse(json.loads(file.read_text(encoding="utf-8")))]
    return tuple(sorted(vectors, key=lambda vector: order.get(vector.id, len(order))))


def parse(document: dict[str, Any]) -> list[Vector]:
    """The vectors of a file."""
    topic = document["topic"]
    return [
        Vector(f"{topic}/{one['name']}", topic, one["flags"], one["request"], one["reply"], tuple(one["routes"]))
        for one in document["vectors"]
    ]
