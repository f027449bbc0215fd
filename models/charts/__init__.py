"""Charts that cannot be had, modelled: the catalogue and the engine that reads it."""

from models.charts.catalogue import (
    ChartModel,
    Modelled,
    UnreadableValuesError,
    load_model,
    model_chart,
    model_names,
)
from models.charts.scope import full_name, merge_values

__all__ = [
    "ChartModel",
    "Modelled",
    "UnreadableValuesError",
    "full_name",
    "load_model",
    "merge_values",
    "model_chart",
    "model_names",
]
