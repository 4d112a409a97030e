"""What makes compressed messages add up: a memory of what was lost, or a copy of what the others know.

A contraction loses a part of every vector. Sent again and again without memory, the loss stays; with one of these two
it fades. Both change, in place, an array that belongs to the solver's state, so that the state holds all that survives
an iteration; what they keep besides is scratch.

    ErrorFeedback     e: sent is C(p + e), and e <- p + e - C(p + e)        what was lost goes along next time
    PublicCopy        h: sent is C(x - h), and h <- h + C(x - h)            all hold h, and h goes to x

The second is EF21's g_i, CHOCO's x_hat and DeLi-CoCo's z. Its copies agree everywhere to the last bit, as each is made
from decoded messages, the sender's, too.

A vector that isn't finite, or doesn't fit the wire, is the end of a run that diverges. It is sent as zeros and leaves
the memory as it is: the driver sees the divergence at the next measurement and says so better.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression.base import Compressor, Message, NotFiniteError
from hpcopt.kernels.finite import add_finite


class ErrorFeedback:
    """Sends vectors and what was lost of those before (Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019).

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
    """Sends the difference to what the others know (Richtarik, Sokolov and Fatkhullin, NeurIPS 2021; CHOCO).

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
