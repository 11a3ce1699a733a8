"""Files of a network with its parameters: `refhf.save` and `refhf.load_network`."""

import io
import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from refhf import checks
from refhf.formats import FormatError, read_npz, write_npz
from refhf.model.blocks import Array
from refhf.model.network import Network
from refhf.model.network_description import described, rebuilt

FORMAT = 1  # increased when older files can no longer be read


def network_arrays(net: Network, theta: Any) -> dict[str, Array]:
    """The arrays of a network's file: theta, the description as JSON text, and statistics of normalisations.

    Raises
    ------
    ValueError
        As `save`.
    """
    if not isinstance(cast(Any, net), Network):
        raise ValueError(f"net: expected a refhf.Network; got {type(net).__name__}")
    theta = checks.array("theta", theta, (net.size,))
    values, arrays = described(net)
    return {"network": np.array(json.dumps({"format": FORMAT, **values})), "theta": theta, **arrays}


def save(path: Any, net: Network, theta: Any) -> None:
    """Write a network and its parameters to a file, a plain `.npz` without pickle.

    Parameters
    ----------
    path : str or path
    net : Network
        Of refhf's own blocks and losses, with its ties and frozen statistics; the `net` of a twin that `from_torch`
        makes too, if PyTorch's loss is refhf's without a factor.
    theta : array (P,)

    Raises
    ------
    ValueError
        For a block, nonlinearity or loss of your own, or a theta that is not finite or of another length.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import refhf
    >>> net = refhf.mlp([3, 4, 2])
    >>> refhf.save("run.npz", net, net.init(rng=0))  # doctest: +SKIP
    >>> net, theta = refhf.load_network("run.npz")  # doctest: +SKIP
    """
    stream = io.BytesIO()
    write_npz(stream, network_arrays(net, theta))
    Path(path).write_bytes(stream.getvalue())


def load_network(path: Any) -> tuple[Network, Array]:
    """The network and the parameters of a file that `save`, or `refhf train --out`, has written.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    net : Network
    theta : ndarray (P,)

    Raises
    ------
    FormatError
        A ValueError: if the file cannot be read, or is none of a network.

    Examples
    --------
    >>> import refhf
    >>> net, theta = refhf.load_network("run.npz")  # doctest: +SKIP
    >>> net.predict(theta, X)  # doctest: +SKIP
    """
    arrays = read_npz(path)
    if not {"network", "theta"} <= arrays.keys():
        raise FormatError(path, f"expected network and theta, as refhf.save writes; found {', '.join(arrays)}")
    try:
        theta, values = arrays.pop("theta"), json.loads(arrays.pop("network").item())
        if (version := values.pop("format")) != FORMAT:
            raise ValueError(f"format: expected {FORMAT}; got {version!r}")
        net = rebuilt(values, arrays)
        if theta.dtype.kind != "f":
            raise ValueError(f"theta: expected real numbers; got dtype {theta.dtype}")
        return net, checks.array("theta", theta, (net.size,))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, SystemError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FormatError(path, f"expected a network that refhf.save wrote; found another ({reason})") from error
