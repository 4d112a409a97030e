"""The mean of one vector of each node, compressed, over an all-gather or over a hub, and what the hub sends back.

    all-gather         every node sends C(g) to all others, and all make the step

    hub                every node sends C(g) to the hub, node 0,
      "model"          which makes the step and sends back the model, exactly, without its zeros
      "gradient"       which sends back C(mean); all make the step
      "sum"            which sends back the exact sum; all make the step. All messages have the values -s, 0 and s,
                       where s is the largest of the nodes' own scales, found by a round of one double; the sum of K
                       messages is then s times an integer from -K to K

Without compression the vectors are not sent as messages but reduced, in doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeGuard

import numpy as np

from hpcopt.arrays import Bytes, Vector
from hpcopt.compression import Compressor, Message
from hpcopt.compression.base import Floats
from hpcopt.compression.few_levels import FewLevels
from hpcopt.compression.identity import Identity
from hpcopt.compression.memory import ErrorFeedback
from hpcopt.compression.nonzeros import pack, unpack
from hpcopt.compression.sums import pack_sum, unpack_sum
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.kernels.trits import TERNARY
from hpcopt.solvers.parts.compressed_mean import decoded_sum

Way = Literal["all-gather", "hub"]
Downlink = Literal["model", "gradient", "sum"]
Memory = Literal["none", "ef"]
HUB = 0
NOTHING: Message = np.zeros(0, dtype=np.uint8)


@dataclass
class Exchanged:
    """What an exchange keeps between steps: the memories of error feedback, and what this node sent and received."""

    memory: Vector  # (d,), the errors of this node's messages, to be sent later
    returned: Vector  # (d,), those of the messages that it sends back as the hub; (0,) if it does not
    means: int = 0  # vectors reduced, in doubles
    scalars: int = 0  # doubles reduced beside them
    up: int = 0  # bytes of messages sent
    down: int = 0  # bytes of messages received


class Mean:
    """A mean of vectors.

    Parameters
    ----------
    vector
        The mean itself, shape (d,).
    """

    def __init__(self, vector: Vector) -> None:
        self._vector = vector

    def vector(self) -> Vector:
        """Return the mean, shape (d,)."""
        return self._vector

    def packed(self) -> tuple[Bytes, int] | None:
        """Return densely packed ternary messages, one per row, whose mean it is, and the length of their buckets."""
        return None


class Messages(Mean):
    """The mean of the vectors of d numbers in messages, which are not decoded before they must be."""

    def __init__(self, compressor: Compressor, messages: Sequence[Message], d: int) -> None:
        self._compressor = compressor
        self._messages = messages
        self._d = d

    def sum(self) -> Vector:
        """Return the sum of the vectors, shape (d,)."""
        return decoded_sum(self._compressor, self._messages, self._d)

    def vector(self) -> Vector:
        if isinstance(self._messages, Gathered):
            return self._messages.once("mean", lambda: self.sum() / len(self._messages))
        return self.sum() / len(self._messages)

    def packed(self) -> tuple[Bytes, int] | None:
        if isinstance(self._messages, Gathered) and self._messages.shared:
            return None  # decoded once for all nodes
        compressor, d = self._compressor, self._d
        if not can_be_summed(compressor) or any(m.size != compressor.capacity(d) for m in self._messages):
            return None
        return np.stack(self._messages), compressor.largest_bucket(d)


def can_be_summed(compressor: Compressor) -> TypeGuard[FewLevels]:
    """Return whether the messages have the values -s, 0 and s, so that sums of those with one s are small integers."""
    return isinstance(compressor, FewLevels) and compressor.base == TERNARY


class Exchange:
    """The exchange by an all-gather, and the base of those over a hub.

    Parameters
    ----------
    compressor
        The compressor of the vectors.
    feedback
        Whether each sender adds its compression error to its next vector ("ef").
    s
        What the exchange keeps; updated in place.
    """

    def __init__(self, node: Node, compressor: Compressor, feedback: Memory, s: Exchanged) -> None:
        self.node = node
        self.compressor = compressor
        self.exact = isinstance(compressor, Identity)
        self.forgets = feedback == "none"
        self.s = s
        self.sender = ErrorFeedback(compressor, s.memory)

    def mean(self, g: Vector, weight: float, step: int) -> Mean | None:
        """Return the mean on the nodes that make the step, None on the others.

        Parameters
        ----------
        g
            This node's vector, shape (d,).
        weight
            Its weight; the weights of all nodes sum to one.
        step
            Selects the random numbers.
        """
        if self.exact:
            self.s.means += 1
            return Mean(self.node.world.mean(g, weight=weight))
        messages = self.node.world.allgather(self.message(g, weight, step))
        self.s.down += messages.nbytes
        return Messages(self.compressor, messages, g.size)

    def message(self, g: Vector, weight: float, step: int) -> Message:
        """Return this node's message, and count it."""
        if self.forgets:
            self.s.memory[:] = 0.0
        message = self.sender.send(self.node.size * weight * g, self.node.key(Draw.MESSAGE, step))
        self.s.up += message.nbytes
        return message

    def model(self, w: Vector) -> Vector:
        """Return the model after the step on all nodes, given that of the nodes that have made it."""
        return w


class Hub(Exchange):
    """Base of the exchanges over a hub."""

    def gathered(self, g: Vector, weight: float, step: int) -> Mean | None:
        """Return the mean at the hub, None elsewhere."""
        world = self.node.world
        if self.exact:
            self.s.up += g.nbytes
            mean = world.reduce(weight * g, root=HUB)
            return None if mean is None else Mean(mean)
        messages = world.gather_varying(self.message(g, weight, step), root=HUB)
        return None if messages is None else Messages(self.compressor, messages, g.size)

    def sent_back(self, message: Message) -> Message:
        """Return the hub's message on all nodes, and count it."""
        received = self.node.world.broadcast_varying(message, root=HUB)
        self.s.down += received.nbytes
        return received


class ModelHub(Hub):
    """The hub makes the step and sends back the model."""

    def mean(self, g: Vector, weight: float, step: int) -> Mean | None:
        return self.gathered(g, weight, step)

    def model(self, w: Vector) -> Vector:
        is_hub = self.node.rank == HUB
        message = self.sent_back(pack(w) if is_hub else NOTHING)
        return w + 0.0 if is_hub else unpack(message, w.size)  # minus zero is sent as zero


class GradientHub(Hub):
    """The hub sends back the compressed mean."""

    def mean(self, g: Vector, weight: float, step: int) -> Mean | None:
        mean, message = self.gathered(g, weight, step), NOTHING
        if mean is not None:
            if self.forgets:
                self.s.returned[:] = 0.0
            back = ErrorFeedback(self.compressor, self.s.returned)
            message = back.send(mean.vector(), self.node.key(Draw.SECOND_MESSAGE, step))
        return Messages(self.compressor, [self.sent_back(message)], g.size)


class SumHub(Hub):
    """The hub sends back the exact sum of messages with three values."""

    def __init__(self, node: Node, compressor: Compressor, feedback: Memory, s: Exchanged) -> None:
        super().__init__(node, compressor, feedback, s)
        assert can_be_summed(compressor), "others are refused before the run"
        self._one = OneScale(compressor, self._largest)
        self.sender = ErrorFeedback(self._one, s.memory)

    def mean(self, g: Vector, weight: float, step: int) -> Mean | None:
        mean, message, size = self.gathered(g, weight, step), NOTHING, self.node.size
        if mean is not None:
            assert isinstance(mean, Messages), "the compressor is not the identity"
            message = pack_sum(mean.sum(), self._one.scale, size)
        return Mean(unpack_sum(self.sent_back(message), g.size, size) / size)

    def _largest(self, scale: float) -> float:
        self.s.scalars += 1
        return float(self.node.world.max(np.array([scale]))[0])


class OneScale(Compressor):
    """A compressor of three values with the same scale on all nodes; encoding is collective.

    Parameters
    ----------
    own
        The compressor with a scale of each node.
    largest
        Returns the largest of all nodes' scales.

    Attributes
    ----------
    scale
        That of the last message.
    """

    def __init__(self, own: FewLevels, largest: Callable[[float], float]) -> None:
        self.scale = 0.0
        self._own = own
        self._scaled = replace(own, coding="dense")  # a list of nothing has no scale
        self._largest = largest

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        message = self._scaled.encode(x, key, out)
        self.scale = self._largest(self._scaled.largest_scale(message, x.size))
        return self._own.encode_in(self.scale, x, key, out)

    def decode(self, message: Message, out: Floats) -> Floats:
        return self._own.decode(message, out)

    def size(self, d: int, itemsize: int = 8) -> int | None:
        return self._own.size(d, itemsize)


HUBS: dict[Downlink, type[Hub]] = {"model": ModelHub, "gradient": GradientHub, "sum": SumHub}
