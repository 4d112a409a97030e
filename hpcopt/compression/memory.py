"""Error feedback and public copies: memories that make the error of a contractive compressor vanish.

A contractive compressor loses a part of every vector. Without memory the error persists; with one of these two it
vanishes. Both change, in place, an array that belongs to the solver's state, so that the state holds all that is kept
between iterations; everything else is scratch.

    ErrorFeedback     e: sent is C(p + e), and e <- p + e - C(p + e)        the error is added to the next message
    PublicCopy        h: sent is C(x - h), and h <- h + C(x - h)            all nodes hold h, and h tends to x

The second is EF21's g_i, CHOCO's x_hat and DeLi-CoCo's z. Its copies are bitwise equal on all nodes, since each is made
from decoded messages, including the sender's.

A vector that is not finite, or not representable in the message, occurs in diverging runs only. It is sent as zeros and
does not change the memory: the driver detects the divergence at the next measurement and reports it.
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
        It must contract.
    memory
        e, shape (d,), float64, zero at first; changed in place.

    Attributes
    ----------
    sent
        Shape (d,), float64: the last message, decoded; overwritten by the next.
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
        It must contract.
    copy
        h, shape (d,), float64, equal wherever it is held; changed in place.

    Attributes
    ----------
    sent
        Shape (d,), float64: the last message, decoded, by which `copy` moved; overwritten by the next.
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
    """Encodes sums of two vectors and decodes what it has encoded, in arrays of its own."""

    def __init__(self, compressor: Compressor, d: int) -> None:
        self.whole, self.sent = np.empty(d), np.zeros(d)
        self.finite = True  # whether the last sum was, and fitted the wire
        self._compressor = compressor
        self._zeros = np.zeros(d)

    def send(self, x: Vector, scale: float, y: Vector, key: int, out: Message | None) -> Message:
        """Return the message of `whole` = x + `scale` y, or of zeros; `sent` is what it says."""
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
