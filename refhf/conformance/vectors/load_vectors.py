"""Test vectors: requests with their right replies, for implementations in any language. README.md is their manual."""

import hashlib
import json
from functools import cache
from importlib import resources
from typing import NamedTuple

VERSION = "v1"


class Vector(NamedTuple):
    """One test vector.

    Attributes
    ----------
    id : str
        'file/name'; never given to another vector.
    topic : str
        The file's name.
    flags : dict
        The known mistakes that it catches, each with the relative error of a reply that has it: a number, or 'inf'
        where a word is wrong or a number is not finite.
    request, reply : dict
        Numbers, strings, booleans, and flat lists of them.
    routes : tuple of str
        The two computations that agree on the reply, to half the runner's tolerance.
    """

    id: str
    topic: str
    flags: dict
    request: dict
    reply: dict
    routes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of the request and the reply: what never changes."""
        return hashlib.sha256(compact([self.request, self.reply]).encode()).hexdigest()[:16]


def compact(value) -> str:
    """JSON in one line, without a space outside of strings."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def folder():
    """Where the files of this version are."""
    return resources.files("refhf.conformance.vectors") / VERSION


@cache
def load() -> tuple[Vector, ...]:
    """All vectors, in the order of the manifest."""
    manifest = (folder() / "MANIFEST").read_text(encoding="utf-8")
    order = {line.split()[0]: k for k, line in enumerate(manifest.splitlines())}
    files = [file for file in folder().iterdir() if file.name.endswith(".json")]
    vectors = [vector for file in files for vector in parse(json.loads(file.read_text(encoding="utf-8")))]
    return tuple(sorted(vectors, key=lambda vector: order.get(vector.id, len(order))))


def parse(document: dict) -> list[Vector]:
    """The vectors of a file."""
    topic = document["topic"]
    return [
        Vector(f"{topic}/{one['name']}", topic, one["flags"], one["request"], one["reply"], tuple(one["routes"]))
        for one in document["vectors"]
    ]
