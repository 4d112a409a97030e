"""The mean of one vector of each node, compressed, over an all-gather or over a hub, and what the hub sends back.

    all-gather         every node sends C(g) to all others, and all make the step
    hub, "model"       every node sends C(g) to the hub, which makes the step and sends back the model without its zeros

The hub is node 0. Without compression the vectors are not sent as messages but reduced, in doubles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor, Message
from hpcopt.compression.identity import Identity
from hpcopt.compression.zeros import pack, unpack
from hpcopt.fabric.interface import Node
from hpcopt.solvers.parts.compressed_mean import CompressedMean

Way = Literal["all-gather", "hub"]
Memory = Literal["none", "ef"]
HUB = 0
_NOTHING: Message = np.zeros(0, dtype=np.uint8)


@dataclass
class Exchanged:
    """What an exchange keeps between steps: the memory of error feedback, and what this node has sent and received."""

    memory: Vector  # (d,), the errors of this node's messages, to be sent later
    doubles: int = 0  # reduced
    up: int = 0  # bytes of messages sent
    down: int = 0  # bytes of messages received


class Exchange:
    """The exchange without a hub.

    Parameters
    ----------
    compressor
        The compressor of the vectors.
    feedback
        Whether each node adds its compression error to its next vector ("ef").
    s
        What the exchange keeps; updated in place.
    """

    def __init__(self, node: Node, compressor: Compressor, feedback: Memory, s: Exchanged) -> None:
        self._node = node
        self._exact = isinstance(compressor, Identity)
        self._compressed = CompressedMean(node, compressor, feedback, s.memory, s.memory[:0])
        self._s = s

    def mean(self, g: Vector, weight: float, step: int) -> Vector | None:
        """Return the mean, shape (d,), on the nodes that make the step, None on the others.

        Parameters
        ----------
        g
            This node's vector, shape (d,).
        weight
            Its weight; the weights of all nodes sum to one.
        step
            Selects the random numbers.
        """
        if self._exact:
            self._s.doubles += g.size
            return self._node.world.mean(g, weight=weight)
        message = self._compressed.message(self._node.size * weight * g, step)
        messages = self._node.world.allgather(message)
        self._s.up += message.nbytes
        self._s.down += sum(received.nbytes for received in messages)
        return self._compressed.mean(messages)

    def model(self, w: Vector) -> Vector:
        """Return the model after the step, given that of a node that has made it."""
        return w


class HubExchange(Exchange):
    """The exchange over a hub that makes the step and sends back the model."""

    def mean(self, g: Vector, weight: float, step: int) -> Vector | None:
        world, s = self._node.world, self._s
        if self._exact:
            s.up += g.nbytes
            return world.reduce(weight * g, root=HUB)
        message = self._compressed.message(self._node.size * weight * g, step)
        messages = world.gather_varying(message, root=HUB)
        s.up += message.nbytes
        return None if messages is None else self._compressed.mean(messages)

    def model(self, w: Vector) -> Vector:
        is_hub = self._node.rank == HUB
        message = self._node.world.broadcast_varying(pack(w) if is_hub else _NOTHING, root=HUB)
        self._s.down += message.nbytes
        return w if is_hub else unpack(message, w.size)
