"""Pack the test vectors, which have a version of their own: a .tar.gz, a checksum, and a manifest inside.

    make vectors-release

The archive depends on the files' contents alone: names are sorted, times are 0, owners are root. (Its compressed bytes
depend on zlib too; the tar inside does not.) refhf/conformance/vectors/README.md documents what is in it.
"""

import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
from collections import Counter
from pathlib import Path

from refhf.conformance.vectors.load_vectors import RELEASE, VERSION, parse

ROOT = Path(__file__).parents[1]
VECTORS, ADAPTERS = Path("refhf", "conformance", "vectors"), Path("examples", "adapters")
KINDS = {".c", ".jl", ".js", ".m", ".md", ".py", ".rs", ".xfails"}  # of adapters; a compiled one stays out


def contents(root: Path) -> dict[str, bytes]:
    """The bytes of each file of the archive, by its name, without manifest and checksums."""
    places = {name: root / VECTORS / name for name in ("README.md", "CHANGELOG.md", "schema.json", "flags.json")}
    places |= {f"{VERSION}/{path.name}": path for path in (root / VECTORS / VERSION).iterdir()}
    places |= {(ADAPTERS / p.name).as_posix(): p for p in (root / ADAPTERS).iterdir() if p.suffix in KINDS}
    places["LICENSE"] = root / "LICENSE"
    return {name: places[name].read_bytes() for name in sorted(places)}


def described(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, with manifest.json and SHA256SUMS; ValueError if the changelog has another release or other counts."""
    documents = [json.loads(text) for name, text in files.items() if re.fullmatch(rf"{VERSION}/\w+\.json", name)]
    topics = Counter(vector.topic for document in documents for vector in parse(document))
    expected = f"## {RELEASE}: {topics.total()} vectors in {len(topics)} topics"
    first = re.search(r"^## .*$", files["CHANGELOG.md"].decode(), flags=re.M)
    if not first or first[0] != expected:
        raise ValueError(f"CHANGELOG.md: expected the first section {expected!r}; found {first and first[0]!r}")
    manifest = {
        "version": RELEASE,
        "vectors": topics.total(),
        "topics": dict(sorted(topics.items())),
        "files": {name: {"bytes": len(text), "sha256": digest(text)} for name, text in files.items()},
    }
    files = {**files, "manifest.json": json.dumps(manifest, indent=1).encode() + b"\n"}
    return {**files, "SHA256SUMS": "".join(f"{digest(text)}  {name}\n" for name, text in files.items()).encode()}


def digest(text: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()


def packed(files: dict[str, bytes], folder: str) -> bytes:
    """A .tar.gz of the files in a folder."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in sorted(files.items()):
            member = tarfile.TarInfo(f"{folder}/{name}")  # mode 644, time 0, owner 0
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return gzip.compress(tar.getvalue(), mtime=0)


def release(root: Path, out: Path) -> Path:
    """Write the archive and its checksum to a folder; return the archive's path."""
    name = f"refhf-vectors-{RELEASE}"
    archive = packed(described(contents(root)), name)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.tar.gz"
    path.write_bytes(archive)
    (out / f"{path.name}.sha256").write_text(f"{digest(archive)}  {path.name}\n")
    return path


if __name__ == "__main__":
    try:
        print(release(ROOT, ROOT / "dist"))
    except ValueError as error:
        sys.exit(str(error))
