"""Ticks of logarithmic axes that can be read on any range, of many decades or a fraction of one."""

from __future__ import annotations

import math
import re

_MOST = 5  # ticks, about
_ENOUGH = 3
_ONE_TWO_FIVE = (1.0, 2.0, 5.0)
_WRITTEN_OUT = (1e-3, 1e4)  # numbers in this range are written without a power of ten
_SLACK = 1e-9  # in decades


def log_ticks(low: float, high: float) -> list[float]:
    """Return ticks from `low` to `high`, both positive: decades; of few of them also 2 and 5; else equal steps."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))

    def inside(ticks: list[float]) -> list[float]:
        return [tick for tick in ticks if low * (1 - _SLACK) <= tick <= high * (1 + _SLACK)]

    decades = inside([10.0**decade for decade in range(first, last + 1)])
    if len(decades) >= _ENOUGH:
        every = math.ceil(len(decades) / _MOST)
        return decades[(len(decades) - 1) % every :: every]
    finer = inside([factor * 10.0**decade for decade in range(first, last + 1) for factor in _ONE_TWO_FIVE])
    return finer if len(finer) >= _ENOUGH else _equal_steps(low, high)


def _equal_steps(low: float, high: float) -> list[float]:
    rough = (high - low) / _MOST
    unit = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(unit * factor for factor in (*_ONE_TWO_FIVE, 10.0) if unit * factor >= rough)
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_label(tick: float) -> str:
    """Return the number at a tick, with a power of ten if it is very small or very large."""
    low, high = _WRITTEN_OUT
    if tick == 0 or low <= tick < high:
        return f"{tick:.6g}"
    factor, _, exponent = f"{tick:.5e}".partition("e")
    factor = factor.rstrip("0").rstrip(".")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if factor == "1" else rf"${factor}{{\times}}{power}$"


def length(label: str) -> int:
    """Return about how many characters wide a label of a tick is; those of a power are half as wide."""
    base, _, power = re.sub(r"[${}]|\\times", "", label).partition("^")
    return len(base) + (len(power) + 1) // 2
