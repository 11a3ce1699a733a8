"""Arguments that choose the network: the fields of a NetworkChoice. A default is filled in later."""

import argparse

from refhf.data.character_windows import CONTEXT
from refhf.lab.cli.argument_types import integer_above_0, layer_widths
from refhf.lab.runs.network_choice import NETWORKS, NORMS, NetworkChoice
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.residual_networks import BLOCKS, GROUP, SHORTCUTS


def add_network_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of all networks."""
    add = command.add_argument
    add(
        "--network", default="mlp", metavar="NAME",
        help=f"{', '.join(NETWORKS)}, or resnet-N of 6 n + 2 layers, of 9 n + 2 with bottlenecks; default: %(default)s",
    )  # fmt: skip
    add(
        "--hidden", type=layer_widths, metavar="N,N",
        help="mlp: widths of the hidden layers; none for no hidden layer; default: 400,150",
    )  # fmt: skip
    add(
        "--width", type=integer_above_0, metavar="N",
        help="convnet, resnet: channels of the first layer; transformer: numbers of a token; default: 8, 16; 32",
    )  # fmt: skip
    _add_resnet_arguments(command)
    _add_transformer_arguments(command)
    add(
        "--standardise", action="store_const", const=True,
        help="first take the inputs, or an image's channels, to mean 0 and deviation 1, in the network itself",
    )  # fmt: skip
    add(
        "--nonlinearity", metavar="F",
        help=f"{', '.join(NONLINEARITIES)}; default: tanh, of a resnet relu, of a transformer gelu",
    )  # fmt: skip


def _add_resnet_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--norm", metavar="NAME", help=f"resnet: normalisation, {', '.join(NORMS)}; default: batch")
    add(
        "--group", type=integer_above_0, metavar="N",
        help=f"resnet: cases that batch normalisation takes together; default: {GROUP}, or all if fewer",
    )  # fmt: skip
    add(
        "--block", metavar="NAME", help=f"resnet: residual blocks, {', '.join(BLOCKS)} (as ResNet-50's); default: basic"
    )
    add(
        "--shortcut", metavar="NAME",
        help=f"resnet: {', '.join(SHORTCUTS)} where the shape changes; default: identity",
    )  # fmt: skip
    add(
        "--preactivation", action="store_const", const=True,
        help="resnet: norm and nonlinearity before each convolution (v2, He et al. 2016); default: after it (v1)",
    )  # fmt: skip


def _add_transformer_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--depth", type=integer_above_0, metavar="N", help="transformer: layers; default: 2")
    add("--heads", type=integer_above_0, metavar="N", help="transformer: attention heads; default: 4")
    add("--context", type=integer_above_0, metavar="N", help=f"transformer: characters of a case; default: {CONTEXT}")
    add(
        "--tied", action="store_const", const=True,
        help="transformer: the last layer's weights are the embedding's; default: its own",
    )  # fmt: skip


def network_choice(args: argparse.Namespace) -> NetworkChoice:
    """The network that the arguments choose."""
    return NetworkChoice(*(getattr(args, name) for name in NetworkChoice._fields))
