"""refhf.data.spoken_digits: recordings as frames of log mel energies, labels and parts."""

import math
import warnings

import numpy as np
import pytest
from scipy.io import wavfile

import refhf
from refhf.data import spoken_digits as speech
from refhf.data.data_sets import list_data_sets, load
from refhf.formats import FormatError

FRAMES = {"0_ann_3": 4, "0_bob_14": 40, "0_ann_15": 66, "1_bob_20": 34, "1_ann_49": 5}


def tone(frames, frequency=440.0, seed=0):
    """Samples of so many frames: a tone, a little noise, and 79 samples that fill no frame."""
    n = 200 + 80 * (frames - 1) + 79
    noise = np.random.default_rng(seed).normal(0, 200, n)
    return (9000 * np.sin(2 * np.pi * frequency * np.arange(n) / 8000) + noise).astype(np.int16)


@pytest.fixture
def recordings(tmp_path):
    """Five recordings, of two digits and two speakers, in the folder that a clone of the repository has."""
    folder = tmp_path / "free-spoken-digit-dataset" / "recordings"
    folder.mkdir(parents=True)
    for i, (name, frames) in enumerate(FRAMES.items()):
        wavfile.write(folder / f"{name}.wav", 8000, tone(frames, 300.0 + 200 * i, i))
    (folder / "README.md").write_text("other files are left alone")
    return folder


def test_frames_labels_and_parts(recordings, tmp_path):
    """Recordings below 15 are to test on; a label is digit, speaker and 33rd of the recording; energies are scaled."""
    data = load("fsdd", data_dir=tmp_path, dtype=np.float32)
    assert (data.X.dtype, data.X.shape, data.X_test.shape) == (np.float32, (66 + 34 + 5, 360), (4 + 40, 360))
    expected = {True: [], False: []}
    for name in sorted(FRAMES):
        digit, speaker, number = name.split("_")
        first = (2 * int(digit) + ["ann", "bob"].index(speaker)) * 33
        expected[int(number) < 15] += [first + math.floor(33 * t / FRAMES[name]) for t in range(FRAMES[name])]
    assert (list(data.y_test), list(data.y)) == (expected[True], expected[False])
    assert len(set(data.y[:66])) == 33  # where there are as many frames, each part has some
    own = data.X[:, 160:200]  # the frame itself, without its neighbours
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(own.std(axis=0), 1, rtol=1e-4)
    assert "5 recordings of 2 speakers" in data.notes[0]
    net = refhf.mlp([360, 3, 4 * 33])
    assert np.isfinite(refhf.supervised(net, data.X, data.y).value(net.init(0, np.float32)))


def test_neighbours_stand_beside_a_frame():
    """Columns 40 k to 40 k + 39 of case t are frame t + k - 4; beyond an end that end is repeated."""
    frames = np.arange(6 * 40).reshape(6, 40)
    cases = speech.in_context(frames)
    for t in range(6):
        for k in range(9):
            np.testing.assert_array_equal(cases[t, 40 * k : 40 * k + 40], frames[min(max(t + k - 4, 0), 5)])


def test_energies_by_the_definition():
    """A frame's energies are sums over a transform and triangles written out from their definitions."""
    samples = tone(3) / 2.0**15
    found = speech.log_mel_energies(samples)
    assert found.shape == (3, 40)
    n, frame = np.arange(200), samples[80:280]
    windowed = frame * (0.54 - 0.46 * np.cos(2 * np.pi * n / 199))
    power = [abs(sum(windowed * np.exp(-2j * np.pi * k * n / 512))) ** 2 for k in range(257)]
    mels = [2595 * math.log10(1 + 4000 / 700) * i / 41 for i in range(42)]
    hertz = [700 * (10 ** (mel / 2595) - 1) for mel in mels]
    for i in range(40):
        low, middle, high = hertz[i : i + 3]
        energy = 0.0
        for k in range(257):
            f = k * 8000 / 512
            if low < f <= middle:
                energy += power[k] * (f - low) / (middle - low)
            elif middle < f < high:
                energy += power[k] * (high - f) / (high - middle)
        assert found[1, i] == pytest.approx(math.log(energy + 1e-6), rel=1e-9)


@pytest.mark.parametrize("frequency", [200.0, 440.0, 1000.0, 3000.0])
def test_a_tone_is_where_its_filter_is(frequency):
    """The largest energy of a tone is that of the filter whose middle is nearest; no filter is empty."""
    filters = speech.mel_filters()
    assert (filters.sum(axis=1) > 0).all()
    middles = 700 * (10 ** (np.arange(1, 41) * math.log10(1 + 4000 / 700) / 41) - 1)
    loudest = speech.log_mel_energies(tone(1, frequency) / 2.0**15)[0].argmax()
    assert abs(loudest - np.abs(middles - frequency).argmin()) <= 1


def rewritten(path, rate=8000, samples=None):
    wavfile.write(path, rate, tone(4) if samples is None else samples)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b""), "expected a WAV file"),
        (lambda path: path.write_bytes(b"thesis" * 99), "expected a WAV file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-41]), "expected a WAV file"),
        (lambda path: path.write_bytes(path.read_bytes()[:30]), "expected a WAV file"),
        (lambda path: rewritten(path, rate=16000), "expected mono, int16, 8000 Hz; found int16 .*, 16000 Hz"),
        (lambda path: rewritten(path, samples=np.zeros((400, 2), np.int16)), r"found int16 \(400, 2\), 8000 Hz"),
        (lambda path: rewritten(path, samples=np.zeros(400, np.uint8)), "found uint8"),
        (lambda path: rewritten(path, samples=np.zeros(199, np.int16)), "expected 200 samples.* found 199"),
        (
            lambda path: rewritten(path, samples=np.zeros(2**19, np.int16)),
            "at most 1048576 bytes; found 1048620",
        ),
    ],
)
def test_malformed_recordings_are_refused(damage, reason, recordings, tmp_path):
    """R17: a file that is no recording at 8 kHz is a FormatError with the file and the reason, without a warning."""
    path = recordings / "0_ann_15.wav"
    damage(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FormatError, match=f"^{path}: .*{reason}"):
            load("fsdd", data_dir=tmp_path)


def test_where_the_recordings_are(recordings, tmp_path, monkeypatch):
    """The set is listed with its place, or with where a user gets it; a half of it is refused."""
    listed = {row.name: row for row in list_data_sets(data_dir=tmp_path)}["fsdd"]
    assert listed.source == f"folder {recordings}"
    monkeypatch.setenv("REFHF_DATA_DIR", str(recordings))
    assert len(load("fsdd").X) == 105
    for name in ("0_ann_3", "0_bob_14"):
        (recordings / f"{name}.wav").unlink()
    with pytest.raises(FormatError, match="numbered below 15 and from 15 on; found 0 and 3"):
        load("fsdd")
    monkeypatch.delenv("REFHF_DATA_DIR")
    with pytest.raises(ValueError, match=r"^data_dir: .*github\.com/Jakobovski/.* not downloaded; got none"):
        load("fsdd")
    with pytest.raises(ValueError, match=r"^data_dir: .*github\.com/Jakobovski/"):
        load("fsdd", data_dir=tmp_path / "nowhere")
