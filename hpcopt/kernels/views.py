"""Views of a kernel's arguments with free slicing.

numba counts references to an array's memory, with an atomic addition when a slice is created and another when it is
released: about 10 ns, the time of a thousand elements. A kernel's arguments outlive its call, so slices of them need no
counting (measured: buckets of 512 numbers are encoded 1.4 times as fast).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba.extending import intrinsic


def _uncounted(typingctx: Any, array: Any) -> Any:  # noqa: ARG001
    """Return a view of `array`, which must be an argument of the calling kernel, not allocated by it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()

    return array(array), generate


uncounted = cast("Callable[[Any], Any]", intrinsic(_uncounted))
