"""refhf.lab.runs.checkpoint: the file survives kills, full disks and false contents (R16, R17)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from processes import finish, in_namespace, needs_namespaces, room_for

from refhf.formats import FormatError
from refhf.lab.runs import checkpoint

ARRAYS = {"theta": np.arange(5.0), "damping": np.array(0.1), "none": np.empty((0, 3), np.float32)}
RECORD = {"step": 3, "history": [{"loss": 0.1 + 0.2, "test_error": None}], "name": "µ"}


def same(arrays, expected):
    assert set(arrays) == set(expected)
    for name, x in expected.items():
        assert arrays[name].dtype == x.dtype
        np.testing.assert_array_equal(arrays[name], x)


def test_what_is_saved_is_loaded(tmp_path):
    """Arrays come back to the bit, the record as JSON does; nothing else is left in the folder."""
    for record in RECORD, {}:
        checkpoint.save_checkpoint(tmp_path / "c.npz", ARRAYS, record)
        arrays, got = checkpoint.load_checkpoint(tmp_path / "c.npz")
        same(arrays, ARRAYS)
        assert got == record
    assert os.listdir(tmp_path) == ["c.npz"]


@given(hnp.arrays(st.sampled_from(["f4", "f8", "i8"]), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
def test_any_array_is_saved(tmp_path_factory, x):
    """NaNs, infinities, signs of zero and empty arrays keep every bit."""
    path = tmp_path_factory.getbasetemp() / "any.npz"
    checkpoint.save_checkpoint(path, {"x": x}, {})
    assert checkpoint.load_checkpoint(path)[0]["x"].tobytes() == x.tobytes()


def lies(path):
    """(name, content) of files that are no checkpoint of this content."""
    content = path.read_bytes()
    yield "nothing", b""
    yield from ((f"cut at {n}", content[:n]) for n in range(0, len(content), 29))
    at = content.index(np.arange(5.0).tobytes())
    for name, change in [("format", {"format": 2}), ("digest", {"digest": "0"}), ("step", {"step": 4})]:
        arrays, record = checkpoint.load_checkpoint(path)
        text = json.dumps({"format": 1, "digest": checkpoint._digest(arrays, record), **record, **change})
        np.savez(path.with_name("lie.npz"), record=np.frombuffer(text.encode(), np.uint8), **arrays)
        yield f"another {name}", path.with_name("lie.npz").read_bytes()
    for text in b"", b"[]", b"{", b"3", b'{"format": 1}', b"[" * 9000, b"\xff":
        np.savez(path.with_name("lie.npz"), record=np.frombuffer(text, np.uint8), **ARRAYS)
        yield f"a record of {text[:9]}", path.with_name("lie.npz").read_bytes()
    yield "a flipped bit", content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_what_is_no_checkpoint_is_refused(tmp_path):
    """R17: cut, changed, of another format or never one: a FormatError that names the file."""
    path = tmp_path / "c.npz"
    checkpoint.save_checkpoint(path, ARRAYS, RECORD)
    for name, content in list(lies(path)):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="c.npz"):
            checkpoint.load_checkpoint(path), name


KILLS = """
import os, signal, sys, time
import numpy as np
from refhf.lab.runs import checkpoint

path, theta = sys.argv[1], np.ones(100_000)
checkpoint.save_checkpoint(path, {"theta": 0 * theta}, {"step": 0})
for delay in np.random.default_rng(0).uniform(0.005, 0.03, 50):
    child = os.fork()
    k = checkpoint.load_checkpoint(path)[1]["step"]
    while child == 0:
        k += 1
        checkpoint.save_checkpoint(path, {"theta": k * theta}, {"step": k})
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    arrays, record = checkpoint.load_checkpoint(path)
    print(record["step"], (arrays["theta"] == record["step"]).all(), os.path.exists(path + ".part"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_during_a_save_leaves_a_checkpoint(tmp_path):
    """R16: 50 SIGKILLs at random moments of saving on and on: a checkpoint is there, and whole.

    So that the kills are known to have hit saves, some must have left the file beside it, and steps gone on.
    """
    code, out, err, _ = finish([sys.executable, "-c", KILLS, str(tmp_path / "c.npz")], 60, {})
    assert code == 0, err
    steps, whole, torn = zip(*(line.split() for line in out.splitlines()), strict=True)
    assert len(steps) == 50
    assert set(whole) == {"True"}
    assert "True" in torn
    assert int(steps[-1]) > 5


FULL = """
import os, sys
import numpy as np
from refhf.lab.runs import checkpoint

path = sys.argv[1] + "/c.npz"
checkpoint.save_checkpoint(path, {"theta": np.zeros(40_000)}, {"step": 1})
try:
    checkpoint.save_checkpoint(path, {"theta": np.random.default_rng(0).normal(size=100_000)}, {"step": 2})
except OSError as error:
    print(error.strerror)
print(checkpoint.load_checkpoint(path)[1]["step"], os.listdir(sys.argv[1]))
"""


@needs_namespaces
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    """On a full disk of 1 MB the save reports an error; the previous checkpoint is intact, no other file is left."""
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$python" -c "$2" "$1"'
    code, out, err, _ = in_namespace(script, tmp_path, FULL)
    assert (code, out) == (0, "No space left on device\n1 ['c.npz']\n"), err


def test_a_save_without_room_leaves_the_old_checkpoint(tmp_path):
    """The same where no disk can be mounted, for a file that may not grow: wherever the write stops."""
    checkpoint.save_checkpoint(tmp_path / "c.npz", ARRAYS, RECORD)
    for size in 0, 1, 100, 1000, 2000:
        with room_for(size), pytest.raises(OSError, match="File too large"):
            checkpoint.save_checkpoint(tmp_path / "c.npz", {"theta": np.arange(1000.0)}, {})
        same(checkpoint.load_checkpoint(tmp_path / "c.npz")[0], ARRAYS)
        assert os.listdir(tmp_path) == ["c.npz"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    """Saving where there is no folder, or where a folder stands in the way, raises OSError and leaves nothing."""
    (tmp_path / "c.npz").mkdir()
    for path in tmp_path / "nowhere" / "c.npz", tmp_path / "c.npz":
        with pytest.raises(OSError, match="c.npz"):
            checkpoint.save_checkpoint(path, ARRAYS, RECORD)
    assert os.listdir(tmp_path) == ["c.npz"]


HOLD = """
import time
from refhf.lab.runs.checkpoint import locked
with locked({!r}):
    print(1, flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time(tmp_path):
    """A folder that another process has locked is refused; once that is killed it is free, with nothing left in it."""
    pytest.importorskip("fcntl")
    with subprocess.Popen([sys.executable, "-c", HOLD.format(str(tmp_path))], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(ValueError, match="another process writes to"), checkpoint.locked(tmp_path):
            pass
        other.kill()
    with checkpoint.locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []
