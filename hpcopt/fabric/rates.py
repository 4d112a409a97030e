"""Operating rates: the probability with which each worker makes a step in a time slot, by name or as numbers.

The distributions are those of the experiments of Multi-Level Local SGD (Castiglia, Das, Patterson 2021, arXiv
2007.13819); the defaults are the paper's, each with a mean of 0.55.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from hpcopt.annotations import Fraction, check_types
from hpcopt.registry import Registry

Rate = Annotated[float, Meta(gt=0, le=1)]


class Rates(abc.ABC):
    """Base of all distributions of operating rates: frozen keyword-only dataclasses, registered with `register`.

    Raises
    ------
    InputError
        For a rate outside (0, 1].
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_types(self)

    @abc.abstractmethod
    def of(self, sizes: Sequence[int]) -> list[list[float]]:
        """Return the rates of the workers of each sub-network, given how many workers each has."""


RATES: Registry[type[Rates]] = Registry("distribution of rates")
register = RATES.register


@register("fixed")
@dataclass(frozen=True, kw_only=True)
class Fixed(Rates):
    """All workers have the same rate.

    Parameters
    ----------
    rate
        The rate of every worker.
    """

    rate: Rate = 0.55

    def of(self, sizes: Sequence[int]) -> list[list[float]]:
        return [[self.rate] * size for size in sizes]


@register("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Rates):
    """In each sub-network the rates are spread evenly from `low` to `high`.

    Parameters
    ----------
    low, high
        The rates of a sub-network's first worker and of its last.
    """

    low: Rate = 0.1
    high: Rate = 1.0

    def of(self, sizes: Sequence[int]) -> list[list[float]]:
        return [np.linspace(self.low, self.high, size).tolist() for size in sizes]


@register("per-hub")
@dataclass(frozen=True, kw_only=True)
class PerHub(Rates):
    """The workers of one sub-network have the same rate; from sub-network to sub-network it rises evenly.

    Parameters
    ----------
    low, high
        The rates in the first sub-network and in the last.
    """

    low: Rate = 0.1
    high: Rate = 1.0

    def of(self, sizes: Sequence[int]) -> list[list[float]]:
        rates = np.linspace(self.low, self.high, len(sizes)).tolist()
        return [[rate] * size for rate, size in zip(rates, sizes, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Skewed(Rates):
    """Most workers have one rate, and a few of each sub-network another.

    Parameters
    ----------
    most, few
        The rates of most workers and of the few.
    fraction
        The fraction of these few workers in each sub-network; at least one worker if there are several, unless it is 0.
    """

    most: Rate = 0.5
    few: Rate = 1.0
    fraction: Fraction = 0.1

    def of(self, sizes: Sequence[int]) -> list[list[float]]:
        few = [max(1, round(self.fraction * size)) if self.fraction and size > 1 else 0 for size in sizes]
        return [[self.most] * (size - count) + [self.few] * count for size, count in zip(sizes, few, strict=True)]


@register("few-fast")
@dataclass(frozen=True, kw_only=True)
class FewFast(Skewed):
    """Most workers are slow, a few of each sub-network fast: the paper's first skewed distribution."""


@register("few-slow")
@dataclass(frozen=True, kw_only=True)
class FewSlow(Skewed):
    """Most workers are fast, a few of each sub-network slow: the paper's second skewed distribution."""

    most: Rate = 0.6
    few: Rate = 0.1
