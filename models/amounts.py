"""Random amounts, as people write them in a scenario file: a mean alone, or a mean with its law.

A bare amount (``5ms``, ``20KB``) is the mean of an exponential law: the law of a demand of which only the mean is
known, and the one that the catalogues' own demands have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from models.frozen import Frozen
from models.units import Duration, Size

Law = Literal["constant", "exponential", "uniform", "erlang", "lognormal", "hyperexponential"]
"""Laws of a random amount. The first three have no parameter but their mean; uniform goes from 0 to twice the mean."""

_VARIED: Mapping[str, tuple[float, float]] = {
    "erlang": (0.0, 1.0),
    "lognormal": (0.0, float("inf")),
    "hyperexponential": (1.0, float("inf")),
}
"""The laws with a coefficient of variation, and what it may be."""


MAX_PHASES = 60
"""Of an erlang law: random counters leave each draw 64 numbers."""

LEAST_VARIATION: float = 1.0 / math.sqrt(MAX_PHASES)
"""The smallest variation of an erlang law but 0, which is a constant."""


def needs_too_many_phases(variation: float) -> bool:
    """Whether no erlang law comes near this variation: 1/variation^2, rounded, is more than MAX_PHASES."""
    return 0.0 < variation < 1.0 / math.sqrt(MAX_PHASES + 0.5)


class RandomAmount(Frozen):
    """What all random amounts have besides their mean. A scalar stands for the mean of an exponential law."""

    law: Law = Field(default="exponential", description=f"law of the amount: {', '.join(get_args(Law))}")
    variation: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="coefficient of variation (standard deviation / mean) of erlang (up to 1; its phases are rounded), "
        "lognormal and hyperexponential (from 1 on)",
    )

    @model_validator(mode="before")
    @classmethod
    def _scalar(cls, value: Any) -> Any:
        return value if isinstance(value, (Mapping, RandomAmount)) else {"mean": value}

    @model_validator(mode="after")
    def _fitting(self) -> RandomAmount:
        if self.law not in _VARIED:
            if self.variation is not None:
                raise ValueError(f"law {self.law} has no variation to choose: leave it out")
            return self
        low, high = _VARIED[self.law]
        if self.variation is None:
            raise ValueError(f"law {self.law} needs its variation: standard deviation / mean")
        if not low <= self.variation <= high:
            bound = f"at most {high:g}" if self.variation > high else f"at least {low:g}"
            raise ValueError(f"variation {self.variation:g} is not {bound}: law {self.law} has no such form")
        if self.law == "erlang" and needs_too_many_phases(self.variation):
            least = f"0 or at least {LEAST_VARIATION:.2g}"
            raise ValueError(f"variation {self.variation:g} is not {least}: law erlang has {MAX_PHASES} phases at most")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        content = handler(self)
        if self.law == "exponential":
            return content["mean"]
        return {key: value for key, value in content.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The map, or a scalar in its place."""
        found = handler.resolve_ref_schema(handler(core))
        found["type"] = ["string", "number", "object"]
        return found


class RandomDuration(RandomAmount):
    """A random time: ``5ms``, or its mean and law."""

    mean: Duration = Field(description="mean time")


class RandomSize(RandomAmount):
    """A random number of bytes: ``20KB``, or its mean and law."""

    mean: Size = Field(description="mean size")
