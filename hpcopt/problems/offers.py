"""What a problem's oracle can do beyond values and gradients, which every oracle gives."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.problems.losses import Loss


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What solvers may ask of an oracle.

    Parameters
    ----------
    what
        Whose oracle it is, in words, for messages: 'loss "softmax"'.
    hessian
        Whether it gives second derivatives, so that it is an `Objective`.
    smoothness
        Whether it knows a Lipschitz constant of the gradient.
    """

    what: str
    hessian: bool
    smoothness: bool


def offers_of(loss: type[Loss]) -> Offers:
    """Return what the oracle of `loss` offers."""
    return Offers(what=f'loss "{loss.name}"', hessian=loss.hessian, smoothness=loss.bounded)
