"""docs/vectors_release.py: the archive of the test vectors, its manifest and checksums."""

import hashlib
import importlib.util
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from refhf.conformance.vectors.load_vectors import RELEASE, load, parse

ROOT = Path(__file__).parents[1]
SOURCES = "LICENSE", "refhf/conformance/vectors", "examples/adapters"

specification = importlib.util.spec_from_file_location("vectors_release", ROOT / "docs" / "vectors_release.py")
vectors_release = importlib.util.module_from_spec(specification)
specification.loader.exec_module(vectors_release)


@pytest.fixture
def tree(tmp_path):
    """A copy of the files that the archive has, with other times, other modes, and what a user leaves about."""
    for name in SOURCES:
        place = tmp_path / "tree" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, place)
    for path in (tmp_path / "tree").rglob("*"):
        if path.is_file():
            os.utime(path, (10**9, 10**9))
            path.chmod(0o600)
    (tmp_path / "tree" / "examples" / "adapters" / "adapter").write_bytes(b"a compiled program")
    return tmp_path / "tree"


def test_the_archive_is_reproducible(tree, tmp_path):
    """Two trees with the same texts give the same bytes, whatever the files' times, modes and neighbours."""
    mine, other = (vectors_release.release(root, tmp_path / name) for root, name in ((ROOT, "a"), (tree, "b")))
    assert mine.read_bytes() == other.read_bytes()
    assert mine.name == f"refhf-vectors-{RELEASE}.tar.gz"
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    assert Path(f"{mine}.sha256").read_text() == f"{digest}  {mine.name}\n"


def test_the_manifest_is_true(tmp_path):
    """Manifest and checksums name every other file with its digest, and the manifest counts the vectors."""
    with tarfile.open(vectors_release.release(ROOT, tmp_path)) as archive:
        files = {m.name.split("/", 1)[1]: archive.extractfile(m).read() for m in archive.getmembers()}
    manifest = json.loads(files["manifest.json"])
    found = [
        vector
        for name in files
        if name.startswith("v1/") and name.endswith(".json")
        for vector in parse(json.loads(files[name]))
    ]
    assert {vector.id: vector for vector in found} == {vector.id: vector for vector in load()}
    assert manifest["version"] == RELEASE
    assert manifest["vectors"] == sum(manifest["topics"].values()) == len(found)
    assert manifest["topics"] == {topic: sum(v.topic == topic for v in found) for topic in {v.topic for v in found}}
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in files.items() if name != "SHA256SUMS"}
    assert dict(line.split("  ")[::-1] for line in files["SHA256SUMS"].decode().splitlines()) == digests
    del digests["manifest.json"]
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == digests
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {n: len(files[n]) for n in digests}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "schema.json", "v1/cg.json", "v1/DEPRECATED"} <= digests.keys()


def test_vectors_without_a_line_in_the_changelog(tree, tmp_path):
    """An archive is refused if the changelog's first section has another version or other counts."""
    path = tree / "refhf" / "conformance" / "vectors" / "CHANGELOG.md"
    path.write_text(path.read_text().replace(f"## {RELEASE}: ", f"## {RELEASE}: 1"))
    with pytest.raises(ValueError, match=rf"expected the first section '## {RELEASE}: {len(load())} vectors in"):
        vectors_release.release(tree, tmp_path)
