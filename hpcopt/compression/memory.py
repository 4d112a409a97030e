"""Error feedback and public copies: state that makes the error of a contractive compressor vanish.

A contractive compressor loses a part of every vector. Without memory the error persists; with one of these two it
vanishes. Both update an array of the solver's state in place, so the solver's state contains everything that is kept
between iterations; all else is scratch space.

    ErrorFeedback     e: send C(p + e), and e <- p + e - C(p + e)           the error is added to the next message
    PublicCopy        h: send C(x - h), and h <- h + C(x - h)               all nodes hold h, and h tends to x

The second is EF21's g_i, CHOCO's x_hat and DeLi-CoCo's z. Its copies are bitwise equal on all nodes, including the
sender, since all of them are computed from decoded messages.

Vectors that are not finite, or not representable in a message, occur only in diverging runs. They are sent as zeros and
leave the memory unchanged; the driver detects and reports the divergence at the next measurement.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression.base import Compressor, Message, NotFiniteError
from hpcopt.kernels.finite import add_finite


class ErrorFeedback:
    """Sends vectors plus the accumulated error (Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019).

    Parameters
    ----------
    compressor
        A contractive compressor.
    memory
        e, shape (d,), float64, initially zero; updated in place.

    Attributes
    ----------
    sent
        Shape (d,), float64: the last message, decoded; overwritten by the next one.
    """

    def __init__(self, compressor: Compressor, memory: Vector) -> None:
        self.memory = memory
        self._sender = _Sender(compressor, memory.size)
        self.sent = self._sender.sent

    def send(self, p: Vector, key: int = 0, out: Message | None = None) -> Message:
        """Return the message of p + e, p of shape (d,); `key` and `out` as in `Compressor.encode`."""
        message = self._sender.send(p, 1.0, self.memory, key, out)
        if self._sender.finite:
            np.subtract(self._sender.whole, self.sent, out=self.memory)
        return message


class PublicCopy:
    """Sends the difference to a copy that all nodes hold (Richtarik, Sokolov and Fatkhullin, NeurIPS 2021; CHOCO).

    Parameters
    ----------
    compressor
        A contractive compressor.
    copy
        h, shape (d,), float64, equal on all nodes that hold it; updated in place.

    Attributes
    ----------
    sent
        Shape (d,), float64: the last message, decoded, which was added to `copy`; overwritten by the next one.
    """

    def __init__(self, compressor: Compressor, copy: Vector) -> None:
        self.copy = copy
        self._sender = _Sender(compressor, copy.size)
        self.sent = self._sender.sent

    def send(self, x: Vector, key: int = 0, out: Message | None = None) -> Message:
        """Return the message of x - h, x of shape (d,); `key` and `out` as in `Compressor.encode`."""
        message = self._sender.send(x, -1.0, self.copy, key, out)
        np.add(self.copy, self.sent, out=self.copy)
        return message


class _Sender:
    """Encodes sums of two vectors and decodes the messages, in its own buffers."""

    def __init__(self, compressor: Compressor, d: int) -> None:
        self.whole, self.sent = np.empty(d), np.zeros(d)
        self.finite = True  # whether the last sum was finite and representable
        self._compressor = compressor
        self._zeros = np.zeros(d)

    def send(self, x: Vector, scale: float, y: Vector, key: int, out: Message | None) -> Message:
        """Return the message of `whole` = x + `scale` y, or of zeros; `sent` is the decoded message."""
        self.finite = add_finite(x, scale, y, self.whole)
        message = self._encode(key, out)
        self._compressor.decode(message, self.sent)
        return message

    def _encode(self, key: int, out: Message | None) -> Message:
        if self.finite:
            try:
                return self._compressor.encode(self.whole, key, out)
            except NotFiniteError:
                self.finite = False
        return self._compressor.encode(self._zeros, key, out)
