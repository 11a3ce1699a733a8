"""The Free Spoken Digit Dataset as frames of speech, in the shape of TIMIT in He et al. 2016, section 5.

TIMIT is licensed and cannot be had freely. This set is recordings of 50 times ten digits by each of six speakers, at
8 kHz, named {digit}_{speaker}_{number}.wav: https://github.com/Jakobovski/free-spoken-digit-dataset, folder
`recordings` (Jackson et al., licence CC BY-SA 4.0). Nothing is downloaded.

A case is nine frames of 40 log mel energies, 360 numbers as in the paper; a frame is 25 ms, every 10 ms. A class is a
digit, a speaker and one of 33 equal parts of the recording: 10 x 6 x 33 = 1,980 classes, where the paper has 1,973.
Recordings 0 to 14 of each digit and speaker, 30 %, are to test on, those from 15 on to train on, so that no recording
is in both; the paper trains on 70 %.

References
----------
Davis & Mermelstein 1980, "Comparison of parametric representations for monosyllabic word recognition", IEEE ASSP 28
(triangular filters on the mel scale); O'Shaughnessy 1987, "Speech communication" (the formula of the scale).
"""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from refhf.data.fetch import find_data_folder
from refhf.formats import FormatError

NAME = "fsdd"
DESCRIPTION = "spoken digits, 9 frames of 40 log mel energies, 1,980 classes: 125,237 frames of 3,000 recordings"
ADDRESS = "github.com/Jakobovski/free-spoken-digit-dataset"
WITHIN = "fsdd", "fsdd/recordings", "recordings", "free-spoken-digit-dataset/recordings", ""
RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
RATE = 8000  # samples a second
WINDOW, HOP = 200, 80  # samples: 25 ms every 10 ms, as usual for speech (Davis & Mermelstein 1980 have 25.6 and 6.4)
TRANSFORM = 512  # our choice: with fewer points the lowest filters would hold none
FILTERS, CONTEXT = 40, 9  # 9 x 40 = 360, the paper's inputs
SEGMENTS = 33  # our choice: 1,980 classes
TEST = 15  # recordings numbered below it are to test on: 30 % of 50
FLOOR = 1e-6  # our choice: added to an energy of samples in [-1, 1], for silence
MAX_BYTES = 2**20  # our choice: thirty times the longest recording


def read_spoken_digits(data_dir: Any = None, dtype: Any = np.float64) -> dict[str, Any]:
    """X (B, 360), y (B,), X_test and y_test, with a note on how they were made.

    Each of the 40 energies has mean 0 and deviation 1 over the training frames.

    Raises
    ------
    ValueError, FormatError
        As `locate_recordings` and `read_recording` do; FormatError if one of the two parts has no recording.
    """
    folder = locate_recordings(data_dir)
    named = [(file, RECORDING.fullmatch(file.name)) for file in sorted(folder.iterdir())]
    found = [(file, int(m[1]), m[2], int(m[3])) for file, m in named if m]
    speakers = sorted({speaker for _, _, speaker, _ in found})
    frames: dict[bool, list[np.ndarray]] = {False: [], True: []}
    labels: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for file, digit, speaker, number in found:
        energies = log_mel_energies(read_recording(file))
        first = (digit * len(speakers) + speakers.index(speaker)) * SEGMENTS
        frames[number < TEST].append(energies)
        labels[number < TEST].append(first + SEGMENTS * np.arange(len(energies)) // len(energies))
    if not (frames[False] and frames[True]):
        counts = f"{len(frames[True])} and {len(frames[False])}"
        raise FormatError(folder, f"expected recordings numbered below {TEST} and from {TEST} on; found {counts}")
    whole = np.concatenate(frames[False])
    mean, deviation = whole.mean(axis=0), whole.std(axis=0) + FLOOR
    arrays = {
        f"{name}{end}": value
        for test, end in ((False, ""), (True, "_test"))
        for name, value in (
            ("X", np.concatenate([in_context((x - mean) / deviation).astype(dtype) for x in frames[test]])),
            ("y", np.concatenate(labels[test]).astype(np.int64)),
        )
    }
    said = f"{len(found)} recordings of {len(speakers)} speakers: read as frames; classes are digit x speaker x"
    return arrays | {"notes": (f"{said} {SEGMENTS} parts; recordings numbered below {TEST} are to test on",)}


def locate_recordings(data_dir: Any = None) -> Path:
    """The folder of the recordings: `data_dir`, or $REFHF_DATA_DIR, or a subfolder of WITHIN.

    Raises
    ------
    ValueError
        If there is none.
    """
    files = f"the recordings of {ADDRESS}, as 0_jackson_0.wav"
    folder = find_data_folder(NAME, data_dir, lambda place: any(place.glob("[0-9]_*_*.wav")), WITHIN, files)
    if folder is None:
        raise ValueError(f"data_dir: expected a folder that has {files}, which are not downloaded; got none")
    return folder


def read_recording(path: Path) -> np.ndarray:
    """The samples of a recording (n,), in [-1, 1].

    Raises
    ------
    FormatError
        If it is no mono WAV file of 16 bits at 8 kHz, is above 1 MiB, or is shorter than a frame.
    """
    from scipy.io import wavfile

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(path, f"expected at most {MAX_BYTES} bytes; found {size}")
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            rate, samples = wavfile.read(path)
    except FormatError:
        raise
    except Exception as error:  # SciPy's reader raises struct.error, IndexError and others for damaged files
        raise FormatError(path, f"expected a WAV file; found ({error})") from error
    if (rate, samples.dtype, samples.ndim) != (RATE, np.int16, 1):
        raise FormatError(path, f"expected mono, int16, {RATE} Hz; found {samples.dtype} {samples.shape}, {rate} Hz")
    if len(samples) < WINDOW:
        raise FormatError(path, f"expected {WINDOW} samples, a frame, at least; found {len(samples)}")
    return samples / 2.0**15


def log_mel_energies(samples: np.ndarray) -> np.ndarray:
    """The log energies (frames, 40) of samples (n,) in triangular filters, equally spaced on the mel scale."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hamming(WINDOW), TRANSFORM)) ** 2
    return np.log(spectrum @ mel_filters().T + FLOOR)


def mel_filters() -> np.ndarray:
    """The weights (40, frequencies) of triangles that rise to 1 at their middles and meet their neighbours' there."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)  # mel = 2595 log10(1 + f / 700)
    corners = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    f = np.fft.rfftfreq(TRANSFORM, 1 / RATE)
    low, middle, high = (corners[i : i + FILTERS, None] for i in range(3))
    return np.maximum(0, np.minimum((f - low) / (middle - low), (high - f) / (high - middle)))


def in_context(frames: np.ndarray) -> np.ndarray:
    """Each frame between its four neighbours on either side, (n, 40) -> (n, 360); ends are repeated."""
    half = CONTEXT // 2
    padded = np.pad(frames, ((half, half), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT, axis=0)  # (n, 40, 9)
    return windows.transpose(0, 2, 1).reshape(len(frames), -1)
