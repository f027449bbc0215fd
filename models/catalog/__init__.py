"""The catalogues: machines and disks, Kubernetes' timers, what apps demand. Every figure names its source.

The figures are data (``*.yaml`` beside this file); here are the types they are read into.
"""

from models.catalog.apps import AppProfile, Apps, CallProfile, OperationProfile, load_apps
from models.catalog.hardware import DiskType, Hardware, Machine, load_hardware
from models.catalog.timings import Timing, Timings, load_timings

__all__ = [
    "AppProfile",
    "Apps",
    "CallProfile",
    "DiskType",
    "Hardware",
    "Machine",
    "OperationProfile",
    "Timing",
    "Timings",
    "load_apps",
    "load_hardware",
    "load_timings",
]
