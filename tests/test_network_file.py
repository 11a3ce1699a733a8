"""refhf.model.network_file: a network and its theta in a plain file, and what a forged one is told."""

import io
import json

import numpy as np
import pytest

import refhf
from refhf.formats import FormatError, read_npz, write_npz
from refhf.model.axes_order import AxesOrder
from refhf.model.chain import Chain
from refhf.model.convolution import Convolution
from refhf.model.dense import Dense
from refhf.model.elementwise import Activation, Nonlinearity, tanh
from refhf.model.losses import softmax_cross_entropy, squared_error
from refhf.model.network_description import BLOCKS
from refhf.model.pooling import Flatten
from refhf.model.weight_tying import NOWHERE, Stored

NORMALISED = refhf.resnet((8, 8, 1), 8, 2, 3, group=4)
STATISTICS = [np.array([np.arange(n) / 3, 1 + np.arange(n)]) for n in NORMALISED.normalised_channels]
BOTTLENECKS = {"version": "v2", "block": "bottleneck", "shortcut": "projection"}
OWN = refhf.conv(2, 3), refhf.max_pool(2), refhf.global_average_pool()
IMAGES = Chain((AxesOrder((1, 2, 0)), Convolution((4, 4, 2), 3, 2), Flatten((3, 3, 3)), Dense(27, 2)))
STORED = (  # in an order and layout of their own, the bias of the convolution nowhere
    Stored(2, (3, 2, 2, 2), (2, 3, 1, 0)),
    Stored(NOWHERE, (3,), ()),
    Stored(26, (2, 27), (1, 0)),
    Stored(0, (2,), (0,)),
)
NETWORKS = {
    "mlp": refhf.mlp([3, 4, 2], nonlinearity="relu"),
    "its units": refhf.mlp([3, 4, 2]).standardised(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 9.0]])),
    "no hidden layer": refhf.mlp([3, 1], loss="squared_error"),
    "convnet": refhf.convnet((8, 8, 2), [refhf.conv(3, 3, padding=1), refhf.pool(2), 5, 2], loss="squared_error"),
    "resnet": NORMALISED,
    "its statistics": NORMALISED.frozen(STATISTICS),
    "bottlenecks": refhf.resnet(
        (8, 8, 2), 11, 2, norm="layer", version="v2", block="bottleneck", shortcut="projection"
    ),
    "transformer": refhf.transformer(7, 4, 6, 2, 1),
    "tied": refhf.transformer(7, 4, 6, 2, 1, tied=True),
    "stored": refhf.Network((2, 4, 4), IMAGES, softmax_cross_entropy, STORED),
    "your own": refhf.chain(
        [
            refhf.conv(2, 3),
            refhf.max_pool(2),
            refhf.global_average_pool(),
            refhf.elementwise("gelu"),
            refhf.dense(2, 3),
        ],
        shape=(6, 6, 1),
        loss="logistic_cross_entropy",
    ),
}


def cases(net):
    rng = np.random.default_rng(0)
    return rng.integers(net.tokens, size=(4, *net.in_shape)) if net.tokens else rng.standard_normal((4, *net.in_shape))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_holds_the_network(name, dtype, tmp_path):
    """`load_network` gives back theta, the blocks, the loss, ties and statistics: the same f, g and H v to the bit."""
    net = NETWORKS[name]
    theta = net.init(1, dtype)
    refhf.save(tmp_path / "net.npz", net, theta)
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert json.loads(file["network"].item())["loss"] == net.loss.name
    again, parameters = refhf.load_network(tmp_path / "net.npz")
    assert (parameters.tobytes(), parameters.dtype) == (theta.tobytes(), theta.dtype)
    assert repr(again.chain) == repr(net.chain) and again.ties == net.ties and again.in_shape == net.in_shape
    X = cases(net)
    y = np.random.default_rng(0).integers(net.outputs, size=(4, *net.out_shape[:-1]))
    if not net.loss.labels:
        y = np.eye(max(net.outputs, 2))[y][:, : net.outputs]
    one, other = (refhf.supervised(each, X, y, dtype=dtype) for each in (net, again))
    np.testing.assert_array_equal(one.value_and_gradient(theta)[1], other.value_and_gradient(parameters)[1])
    np.testing.assert_array_equal(one.hessian(theta) @ theta, other.hessian(theta) @ theta)
    np.testing.assert_array_equal(one.predict(theta, X), other.predict(theta, X))


def test_every_block_is_saved():
    """The networks above have each block that a file can hold, so a new one needs its line here."""
    text = " ".join(repr(net.chain) for net in NETWORKS.values())
    assert [name for name in BLOCKS if f"{name}(" not in text] == []


def test_statistics_are_kept(tmp_path):
    """A network frozen with statistics predicts the same after a round trip, each case alone."""
    net = NETWORKS["its statistics"]
    refhf.save(tmp_path / "net.npz", net, net.init(0))
    again, theta = refhf.load_network(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.predict(theta, cases(net)), net.predict(theta, cases(net)))


class Own(Activation):
    """A block that is not refhf's."""


UNSAVED = {
    "theta: expected an array of shape .26,.; got shape .25,.": lambda net, theta: (net, theta[1:]),
    "theta: expected finite numbers": lambda net, theta: (net, theta * np.nan),
    "net: expected a refhf.Network; got Chain": lambda net, theta: (net.chain, theta),
    "net: expected a block of refhf, .* got your own Own": lambda net, theta: (
        refhf.chain([refhf.dense(3, 4), Own(tanh), refhf.dense(4, 2)]),
        theta,
    ),
    "net: expected a nonlinearity of refhf, .* got your own tanh": lambda net, theta: (
        refhf.chain([refhf.dense(3, 4), Activation(Nonlinearity("tanh", np.sin, np.cos, np.sin)), refhf.dense(4, 2)]),
        theta,
    ),
    "net: expected a loss of refhf, .* got your own squared_error": lambda net, theta: (
        net._replace(loss=squared_error._replace(predict=np.tanh)),
        theta,
    ),
}


@pytest.mark.parametrize("said", UNSAVED)
def test_what_cannot_be_saved_is_refused(said, tmp_path):
    """A theta that is none of the network's, and parts that a file has no name for, are refused; nothing is written."""
    net = NETWORKS["mlp"]
    with pytest.raises(ValueError, match=f"^{said}"):
        refhf.save(tmp_path / "net.npz", *UNSAVED[said](net, net.init(0)))
    assert not list(tmp_path.iterdir())


def at(*path_and_value):
    """A forger: puts a value at a place of the description."""
    *path, last, value = path_and_value

    def change(arrays, values):
        for key in path:
            values = values[key]
        values[last] = value

    return change


def array(name, x):
    """A forger of an array."""
    return lambda arrays, values: arrays.update({name: x})


FORGED = {
    "another format": ("mlp", at("format", 2), "format: expected 1; got 2"),
    "no blocks": ("mlp", lambda arrays, values: values.pop("blocks"), "'blocks'"),
    "blocks as a number": ("mlp", at("blocks", 3), "int"),
    "another block": ("mlp", at("blocks", 0, "block", "Exec"), "block: expected one of"),
    "a field less": ("mlp", lambda arrays, values: values["blocks"][0].pop("bias"), "Dense: expected n_in"),
    "a field more": ("mlp", at("blocks", 0, "extra", 1), "Dense: expected n_in"),
    "a negative width": ("mlp", at("blocks", 0, "n_out", -4), "n_out: expected an integer >= 1"),
    "a width as text": ("mlp", at("blocks", 0, "n_out", "4"), "n_out: expected an integer >= 1"),
    "a width of 1e18": ("mlp", at("blocks", 2, "n_out", 10**18), "theta: expected an array of shape"),
    "widths that differ": ("mlp", at("blocks", 0, "n_out", 5), "expected 4 inputs; got shape .5,."),
    "another rule": ("mlp", at("blocks", 0, "rule", "best"), "rule: expected one of glorot"),
    "bias 1": ("mlp", at("blocks", 0, "bias", 1), "bias: expected True or False"),
    "another nonlinearity": ("mlp", at("blocks", 1, "nonlinearity", "sine"), "nonlinearity: expected one of"),
    "another loss": ("mlp", at("loss", "hinge"), "loss: expected one of"),
    "another shape": ("mlp", at("in_shape", [4]), "expected 3 inputs"),
    "a tie to itself": ("mlp", at("ties", [[1, 1, False]]), "ties: expected an earlier array"),
    "a tie of other shapes": ("mlp", at("ties", [[3, 1, False]]), "ties: expected an earlier array"),
    "a tie to nothing": ("mlp", at("ties", [[9, 1, False]]), "index out of range"),
    "a tie twice": ("tied", lambda arrays, values: values.update(ties=values["ties"] * 2), "expected each once"),
    "no tie": ("tied", at("ties", []), "theta: expected an array of shape"),
    "a stored array less": (
        "stored",
        lambda arrays, values: values["ties"].pop(),
        "expected every array of the weights",
    ),
    "another size": ("stored", at("ties", 3, 1, [3]), "expected every array of the weights"),
    "a gap in theta": ("stored", at("ties", 2, 0, 27), "ties: expected arrays that follow each other in theta"),
    "a start of 1e18": ("stored", at("ties", 2, 0, 10**18), "ties: expected arrays that follow each other in theta"),
    "a start below": ("stored", at("ties", 2, 0, -2), "start: expected an integer >= 0"),
    "an axis twice": ("stored", at("ties", 2, 2, [1, 1]), "axes: expected each of 2 axes once"),
    "an axis more": ("stored", at("ties", 3, 2, [1, 0]), "axes: expected the 1 axes of the array"),
    "the axes of a case twice": ("stored", at("blocks", 0, "axes", [0, 0, 1]), "axes: expected each of 3 axes once"),
    "a large kernel": ("convnet", at("blocks", 0, "kernel", 99), "Convolution: expected a kernel that fits"),
    "a wide padding": ("convnet", at("blocks", 0, "padding", 3), "Convolution: expected a kernel that fits"),
    "few channels": ("resnet", at("blocks", 5, "shortcut", "blocks", 0, "channels", 1), "Subsample: expected"),
    "groups that differ": ("resnet", at("blocks", 1, "group", 3), "groups of one size"),
    "epsilon 0": ("resnet", at("blocks", 1, "epsilon", 0), "epsilon: expected a positive number"),
    "no array": ("its statistics", lambda arrays, values: arrays.pop("array 0"), "array 0"),
    "a negative variance": (
        "its statistics",
        lambda arrays, values: arrays.update({"array 1": -arrays["array 1"]}),
        "FrozenNorm: expected variances >= 0",
    ),
    "a mean of text": (
        "its statistics",
        array("array 0", np.array(["a", "b"])),
        "mean: expected real numbers",
    ),
    "NaN in theta": (
        "mlp",
        lambda arrays, values: arrays.update(theta=arrays["theta"] * np.nan),
        "theta: expected finite",
    ),
    "a short theta": (
        "mlp",
        lambda arrays, values: arrays.update(theta=arrays["theta"][1:]),
        "theta: expected an array",
    ),
    "theta of integers": ("mlp", lambda arrays, values: arrays.update(theta=np.arange(26)), "theta: expected real"),
    "no theta": ("mlp", lambda arrays, values: arrays.pop("theta"), "expected network and theta, .* found network"),
}


@pytest.mark.parametrize("what", FORGED)
def test_forged_files_are_refused(what, tmp_path):
    """A description that is none of a network, or arrays that are not its own: one FormatError in one line."""
    name, change, said = FORGED[what]
    path = tmp_path / "net.npz"
    refhf.save(path, NETWORKS[name], NETWORKS[name].init(0))
    arrays = read_npz(path)
    values = json.loads(arrays.pop("network").item())
    change(arrays, values)
    with open(path, "wb") as file:
        write_npz(file, {"network": np.array(json.dumps(values)), **arrays})
    with pytest.raises(FormatError, match=said) as failure:
        refhf.load_network(path)
    assert failure.value.path == path and "\n" not in str(failure.value)


NO_NETWORK = {
    "other arrays": {"X": np.ones(3)},
    "no JSON": {"theta": np.ones(3), "network": np.array("{")},
    "JSON of another kind": {"theta": np.ones(3), "network": np.array("[1]")},
    "deep JSON": {"theta": np.ones(3), "network": np.array("[" * 10**5)},
    "letters that are none": {"theta": np.ones(3), "network": np.array([2**31], "u4").view("U1")[0:1]},
    "numbers": {"theta": np.ones(3), "network": np.ones(3)},
}


@pytest.mark.parametrize("what", NO_NETWORK)
def test_other_files_are_refused(what, tmp_path):
    """A `.npz` of something else is no network."""
    with open(tmp_path / "net.npz", "wb") as file:
        write_npz(file, NO_NETWORK[what])
    with pytest.raises(FormatError, match="expected network and theta, as|expected a network that refhf.save wrote"):
        refhf.load_network(tmp_path / "net.npz")


def test_damaged_files_are_refused(tmp_path):
    """Each beginning of a file, and a file with a byte changed, is a FormatError or the same network."""
    net = NETWORKS["mlp"]
    refhf.save(tmp_path / "net.npz", net, net.init(0))
    whole = (tmp_path / "net.npz").read_bytes()
    for place in range(0, len(whole), 7):
        with pytest.raises(FormatError):
            refhf.load_network(io.BytesIO(whole[:place]))
        changed = bytearray(whole)
        changed[place] ^= 0x55
        try:
            _, theta = refhf.load_network(io.BytesIO(bytes(changed)))
        except FormatError:
            continue
        assert theta.tobytes() == net.init(0).tobytes()
