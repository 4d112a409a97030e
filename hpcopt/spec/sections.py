"""The table [problem]: the objective, and where the solver starts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from hpcopt.annotations import AtLeastZero, Count, no_such
from hpcopt.errors import InputError
from hpcopt.portions import portion
from hpcopt.problems.losses import LOSSES
from hpcopt.registry import nearest

Strength = AtLeastZero | Annotated[str, Meta(extra={"words": '"c/n"'})]

STARTS = ("zeros", "ones", "random")
DEFAULT_WIDTH = 64  # units of a hidden layer


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables: frozen, no unknown keys."""


class Problem(Section, frozen=True, kw_only=True):
    """The objective: mean loss + (l2/2) ||w||^2, and where the solver starts.

    Attributes
    ----------
    l2
        A number, or "c/n" with n the number of training rows.
    intercept
        Whether the model has one (of "softmax": one for each class); it is not penalised. Default false; the layers of
        "mlp" always have biases.
    hidden, activation
        Of "mlp": the widths of the hidden layers, default [64], and what follows each of them, default "relu".
    start
        "zeros", "ones", "random" or the path of a .npy file with the start, shape (d,); default "zeros", "random"
        where the loss is not convex.
    """

    loss: str = "logistic"
    l2: Strength = "1/n"
    l1: AtLeastZero = 0.0
    intercept: bool | None = None
    hidden: Annotated[tuple[Count, ...], Meta(min_length=1)] | None = None
    activation: Literal["relu", "tanh"] | None = None
    start: str = ""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"loss: {no_such(self.loss, LOSSES)}")
        self._check_layers()
        convex = LOSSES[self.loss].convex
        if not self.start:
            force_setattr(self, "start", "zeros" if convex else "random")
        if self.start == "zeros" and not convex:
            raise InputError(
                f'start: with loss "{self.loss}" nothing moves from zeros; expected another start, as "random"'
            )
        if isinstance(self.l2, str) and portion(self.l2, "n") is None:
            raise InputError(f'l2: expected a number >= 0 or "c/n", as in "1/n", got "{self.l2}"')
        if self.l1 > 0:
            raise InputError(f"l1: only 0 is possible, got {self.l1:g}: no solver here takes an l1 term yet")
        if self.start not in STARTS and not self.start.endswith(".npy"):
            wanted = ", ".join(f'"{name}"' for name in STARTS)
            guess = nearest(self.start, STARTS)
            raise InputError(f'start: expected {wanted} or the path of a .npy file, got "{self.start}"{guess}')

    def _check_layers(self) -> None:
        """Fill in the defaults of layers, and refuse what contradicts them."""
        if not LOSSES[self.loss].layered:
            for key in ("hidden", "activation"):
                if getattr(self, key) is not None:
                    takers = ", ".join(f'"{name}"' for name in LOSSES if LOSSES[name].layered)
                    raise InputError(f'{key}: only loss = {takers} takes it, loss is "{self.loss}"')
            force_setattr(self, "intercept", bool(self.intercept))
            return
        if self.intercept is False:
            raise InputError(f'intercept: the layers of loss "{self.loss}" always have biases; leave it out')
        if self.start == "ones":
            raise InputError(
                f'start: with loss "{self.loss}" and equal weights all units of a layer stay equal; expected another '
                'start, as "random"'
            )
        for key, default in (("intercept", True), ("hidden", (DEFAULT_WIDTH,)), ("activation", "relu")):
            if getattr(self, key) is None:
                force_setattr(self, key, default)

    def l2_value(self, n: int) -> float:
        """Return l2 as a number, given the number `n` of training rows."""
        part = portion(self.l2, "n")
        return float(self.l2) if part is None else part / n
