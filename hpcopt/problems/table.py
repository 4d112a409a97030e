"""[problem], the table of a specification that defines the objective and the starting point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from hpcopt.annotations import AtLeastZero, Count, Positive, check_types, fill, named, no_such
from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.portions import portion
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS, ModelFamily, SizedModel
from hpcopt.problems.penalties import PENALTIES
from hpcopt.registry import Registry, nearest
from hpcopt.stored import stored_array

Strength = AtLeastZero | Annotated[str, Meta(extra={"words": '"c/n"'})]

STARTS = ("zeros", "ones", "random")
MODEL_KEYS = ("intercept", "hidden", "activation")  # parameters of one model or another
LOSS_KEYS = ("delta",)  # of one loss or another


@dataclass(frozen=True, kw_only=True)
class ProblemTable:
    """The objective, the mean loss of a model plus a penalty, and the starting point.

    Parameters
    ----------
    model, loss
        The model and the loss, by name; each model has a default loss.
    l1, l2
        Short forms of penalties, l1 ||w||_1 and (l2/2) ||w||^2; both together are the elastic net. Each is a number, or
        "c/n" with n the number of training rows. Default of l2: "1/n", and 0 with l1 > 0.
    penalty
        Another penalty, in place of `l1` and `l2`: `name` (`hpcopt list penalties`) and its parameters, or the name
        alone. Its numbers may also be "c/n".
    intercept
        Whether the model has an intercept (with "softmax", one per class); it is not penalised. Default false; "mlp"
        always has biases.
    hidden, activation
        For "mlp": the widths of the hidden layers, default [64], and their activation, default "relu".
    delta
        For "huber": the error from which on the loss is linear, in units of the targets; default 1.35.
    start
        "zeros", "ones", "random" or the path of a .npy file with the start, shape (d,); default "zeros", but "random"
        if the objective is not convex.
    optimum
        The minimum of the objective, if known: pictures then show the distance to it, and `stop.target` may be relative
        to it. "auto" computes it before the run, for convex objectives, with a certificate, and remembers it.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, and for keys that contradict one another.
    """

    model: Annotated[str, named(MODELS)] = "linear"
    loss: Annotated[str, named(LOSSES)] = ""
    l2: Strength | None = None
    l1: Strength = 0.0
    penalty: Annotated[str, named(PENALTIES)] | dict[str, Any] | None = None
    intercept: bool | None = None
    hidden: Annotated[tuple[Count, ...], Meta(min_length=1)] | None = None
    activation: Literal["relu", "tanh"] | None = None
    delta: Positive | None = None
    start: Annotated[str, named(STARTS, "the path of a .npy file")] = ""
    optimum: float | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.model not in MODELS:
            raise InputError(f"model: {no_such(self.model, MODELS)}")
        self._check_loss(MODELS[self.model])
        fill(self, **self._model_parameters(), **self._loss_parameters())
        self._check_penalty()
        self._check_start()

    def _check_loss(self, model: type[ModelFamily]) -> None:
        if not self.loss:
            fill(self, loss=model.usual_loss)
        if self.loss in MODELS and self.loss not in LOSSES:
            usual = MODELS[self.loss].usual_loss
            raise InputError(f'loss: "{self.loss}" is a model; give model = "{self.loss}" with loss = "{usual}"')
        if self.loss not in LOSSES:
            raise InputError(f"loss: {no_such(self.loss, LOSSES)}")
        if not model.takes(LOSSES[self.loss]):
            takes = ", ".join(f'"{name}"' for name in LOSSES if model.takes(LOSSES[name]))
            raise InputError(f'loss: model "{self.model}" takes {takes}, got "{self.loss}"')

    def _model_parameters(self) -> dict[str, Any]:
        """Return the parameters of the model, including defaults."""
        return self._parameters("model", MODELS, MODEL_KEYS)

    def _loss_parameters(self) -> dict[str, Any]:
        """Return the parameters of the loss, including defaults."""
        return self._parameters("loss", LOSSES, LOSS_KEYS)

    def _parameters(self, kind: str, registry: Registry[Any], keys: tuple[str, ...]) -> dict[str, Any]:
        """Return the parameters, out of `keys`, of the part that `kind` names, including defaults."""
        name = getattr(self, kind)
        own = {field.name for field in fields(registry[name])}
        given = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        for key in given.keys() - own:
            takers = ", ".join(f'"{other}"' for other in registry if key in {f.name for f in fields(registry[other])})
            raise InputError(f'{key}: requires {kind} = {takers}; {kind} is "{name}"')
        built = registry[name](**given)
        return {key: getattr(built, key) for key in keys if key in own}

    def _check_penalty(self) -> None:
        for name, value in (("l1", self.l1), ("l2", self.l2)):
            if isinstance(value, str) and portion(value, "n") is None:
                raise InputError(f'{name}: expected a number >= 0 or "c/n", as in "1/n", got "{value}"')
        lasso = _over(1, self.l1) > 0
        if self.penalty is not None and (lasso or self.l2 is not None):
            short = "l1" if lasso else "l2"
            raise InputError(f"penalty: given together with {short}, which is also a penalty; remove one of the two")
        if self.penalty is None and self.l2 is None:
            fill(self, l2=0.0 if lasso else "1/n")

    def _check_start(self) -> None:
        model = MODELS[self.model]
        nonconvex = self._formulation({"name": "none"}).without("convex")
        if not self.start:
            fill(self, start="random" if nonconvex else "zeros")
        if self.start == "zeros" and nonconvex:
            kind, name = nonconvex
            raise InputError(
                f'start: with {kind} "{name}" zeros is a stationary point; expected another start, such as "random"'
            )
        if self.start == "ones" and model.equal_weights:
            raise InputError(
                f'start: with model "{self.model}" and equal weights {model.equal_weights}; expected another start, '
                'as "random"'
            )
        if self.start not in STARTS and not self.start.endswith(".npy"):
            wanted = ", ".join(f'"{name}"' for name in STARTS)
            guess = nearest(self.start, STARTS)
            raise InputError(f'start: expected {wanted} or the path of a .npy file, got "{self.start}"{guess}')

    def penalty_table(self, n: int) -> dict[str, Any]:
        """Return the penalty's `name` and parameters, with each "c/n" as a number, for `n` training rows."""
        if self.penalty is None:
            l1, l2 = _over(n, self.l1), _over(n, self.l2)
            if l1 > 0 and l2 > 0:
                return {"name": "elastic-net", "l1": l1, "l2": l2}
            return {"name": "l1", "weight": l1} if l1 > 0 else {"name": "l2", "weight": l2}
        table = {"name": self.penalty} if isinstance(self.penalty, str) else self.penalty
        return {key: _over(n, value) for key, value in table.items()}

    def formulation(self, n: int) -> Formulation:
        """Return the objective for `n` training rows; the penalty's table has been checked (`penalty_table`)."""
        return self._formulation(self.penalty_table(n))

    def _formulation(self, penalty: Mapping[str, Any]) -> Formulation:
        parameters = {key: value for key, value in penalty.items() if key != "name"}
        return Formulation(
            MODELS[self.model](**self._model_parameters()),
            LOSSES[self.loss](**self._loss_parameters()),
            PENALTIES[penalty["name"]](**parameters),
        )

    def starting_point(self, model: SizedModel, seed: int) -> Vector:
        """Return w0, shape (d,).

        Raises
        ------
        InputError
            If a .npy file cannot be read, has another shape, or holds NaN or inf.
        """
        if self.start == "random":
            return model.random_start(seed)
        if self.start in STARTS:
            return np.full(model.size, float(self.start == "ones"))
        return _read_start(Path(self.start), model.size)


def _read_start(path: Path, d: int) -> Vector:
    try:
        stored = stored_array(path)
        if stored.dtype.kind not in "fiub":
            raise InputError(f"{path}: does not contain an array of real numbers")
        w0: Vector = stored.read()
    except FileNotFoundError:
        raise InputError(f"problem.start: {path}: no such file; or give zeros, ones or random") from None
    except OSError as error:
        raise InputError(f"problem.start: {path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"problem.start: {error.message}") from None
    if w0.shape != (d,):
        raise InputError(f"problem.start: {path}: shape {w0.shape}, the model needs ({d},)")
    w0 = w0.astype(np.float64)
    if not np.isfinite(w0).all():
        raise InputError(f"problem.start: {path}: contains NaN or inf")
    return w0


def _over(n: int, value: Any) -> Any:
    """Convert "c/n" to a number; return anything else unchanged."""
    part = portion(value, "n")
    return value if part is None else part / n
