"""Kubernetes resource quantities: exact, canonical, with apimachinery's rounding, printing and error messages.

Source: ``apimachinery/pkg/api/resource/{quantity,amount,suffix,math}.go``. A quantity is a whole number of nano-units
plus the suffix family that it prints with. Two deliberate differences from upstream, both where upstream loses value:
amounts beyond 1000E or 1024Ei print with the largest suffix (upstream drops the suffix and prints ``1``), and
``value()``/``milli_value()`` never wrap around at 64 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

NANO: Final = 1_000_000_000
"""Nano-units in one unit: the finest step of a quantity."""

MAX_BINARY: Final = (1 << 63) - 1
"""Cap in units that upstream puts on values written with a binary suffix (``maxAllowed`` in math.go)."""

FORMAT_MESSAGE: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
NUMERIC_MESSAGE: Final = "unable to parse numeric part of quantity"
SUFFIX_MESSAGE: Final = "unable to parse quantity's suffix"

_MAX_EXPONENT: Final = 4096
"""Largest power of ten accepted. Upstream has no bound and can be made to eat all memory (``1e999999999``)."""

_DECIMAL_SUFFIXES: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_BY_EXPONENT: Final = {exponent: suffix for suffix, exponent in _DECIMAL_SUFFIXES.items()}
_BINARY_SUFFIXES: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_NAMES: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

_SHAPE: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT: Final = re.compile(r"[eE]([+-]?[0-9]{1,19})")


@dataclass(frozen=True, eq=False)
class Quantity:
    """An exact amount. Compares and hashes by amount alone (``1 == 1000m``); the family decides only the printing.

    ``nano``: the amount in 1e-9 units; ``family``: the suffix family, as upstream's ``Format``.
    """

    nano: int
    family: Family = "DecimalSI"

    def value(self) -> int:
        """The amount in whole units, rounded away from zero (``Quantity.Value``)."""
        return _divide_away(self.nano, NANO)

    def milli_value(self) -> int:
        """The amount in thousandths, rounded away from zero (``Quantity.MilliValue``)."""
        return _divide_away(self.nano, NANO // 1000)

    def round_up(self, exponent: int) -> Quantity:
        """The amount rounded away from zero to a multiple of 10**exponent (``Quantity.RoundUp``)."""
        if exponent <= -9:
            return self
        step = 10 ** (exponent + 9)
        return Quantity(_divide_away(self.nano, step) * step, self.family)

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return (self.nano > 0) - (self.nano < 0)

    def __bool__(self) -> bool:
        return self.nano != 0

    def __add__(self, other: Quantity) -> Quantity:
        """The sum, in the left family unless the left amount is zero (``Quantity.Add``)."""
        return Quantity(self.nano + other.nano, self.family if self.nano else other.family)

    def __sub__(self, other: Quantity) -> Quantity:
        """The difference, in the left family unless the left amount is zero (``Quantity.Sub``)."""
        return Quantity(self.nano - other.nano, self.family if self.nano else other.family)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.family)

    def __mul__(self, factor: int) -> Quantity:
        """The amount times a whole number, in the same family (``Quantity.Mul``)."""
        return Quantity(self.nano * factor, self.family)

    def __eq__(self, other: object) -> bool:
        return self.nano == other.nano if isinstance(other, Quantity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.nano)

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __le__(self, other: Quantity) -> bool:
        return self.nano <= other.nano

    def __gt__(self, other: Quantity) -> bool:
        return self.nano > other.nano

    def __ge__(self, other: Quantity) -> bool:
        return self.nano >= other.nano

    def __str__(self) -> str:
        """The canonical form: the largest suffix of the family that leaves a whole number (``CanonicalizeBytes``)."""
        if not self.nano:
            return "0"
        # Small or fractional binary amounts print as decimal so that nothing is rounded away.
        if self.family == "BinarySI" and self.nano % NANO == 0 and abs(self.nano) >= 1024 * NANO:
            return _print_binary(self.nano // NANO)
        return _print_decimal(self.nano, "DecimalExponent" if self.family == "DecimalExponent" else "DecimalSI")


ZERO: Final = Quantity(0)
"""No amount at all, decimal family."""


def parse_quantity(text: str | int | float) -> Quantity:
    """The quantity written as ``text``; a YAML number is read as the text that it prints as.

    Raises ValueError with apimachinery's own message. Amounts finer than one nano are rounded away from zero; binary
    amounts beyond 2**63-1 are capped there.
    """
    if isinstance(text, bool):
        raise ValueError(FORMAT_MESSAGE)
    written = text if isinstance(text, str) else repr(text)
    match = _SHAPE.fullmatch(written)
    if not written or match is None:
        raise ValueError(FORMAT_MESSAGE)
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3) or "", match.group(4)
    base, exponent, family = _interpret_suffix(suffix)
    if not whole and not fraction and (exponent < -9 or suffix in ("Pi", "Ei")):
        # Upstream reads "m" or "." as 0 on its fast path, but its exact path asks for at least one digit.
        raise ValueError(NUMERIC_MESSAGE)
    nano, family = _scale(whole, fraction, base, exponent, family)
    return Quantity(-nano if sign == "-" else nano, family)


def cpu_millis(text: str | int | float) -> int:
    """A CPU quantity in millicores, rounded up. Raises ValueError as :func:`parse_quantity`."""
    return parse_quantity(text).milli_value()


def bytes_of(text: str | int | float) -> int:
    """A memory or storage quantity in bytes, rounded up. Raises ValueError as :func:`parse_quantity`."""
    return parse_quantity(text).value()


def format_millicores(millicores: int) -> str:
    """Millicores in Kubernetes' canonical printing: 1500 -> ``1500m``, 2000 -> ``2``."""
    return str(from_millis(millicores))


def format_bytes(size: int) -> str:
    """Bytes in Kubernetes' canonical binary printing: 1073741824 -> ``1Gi``."""
    return str(Quantity(size * NANO, "BinarySI"))


def from_units(units: int, family: Family = "DecimalSI") -> Quantity:
    """A whole number of units (``resource.NewQuantity``)."""
    return Quantity(units * NANO, family)


def from_millis(millis: int, family: Family = "DecimalSI") -> Quantity:
    """A whole number of thousandths (``resource.NewMilliQuantity``)."""
    return Quantity(millis * (NANO // 1000), family)


def _interpret_suffix(suffix: str) -> tuple[int, int, Family]:
    """Base, exponent and family of a suffix (suffix.go ``interpret``)."""
    if suffix in _DECIMAL_SUFFIXES:
        return 10, _DECIMAL_SUFFIXES[suffix], "DecimalSI"
    if suffix in _BINARY_SUFFIXES:
        return 2, _BINARY_SUFFIXES[suffix], "BinarySI"
    match = _EXPONENT.fullmatch(suffix)
    if match is None or int(match.group(1)) > _MAX_EXPONENT:
        raise ValueError(SUFFIX_MESSAGE)
    return 10, int(match.group(1)), "DecimalExponent"


def _scale(whole: str, fraction: str, base: int, exponent: int, family: Family) -> tuple[int, Family]:
    """Digits and suffix as a non-negative number of nanos, with the family that upstream gives it."""
    try:
        mantissa = int((whole + fraction) or "0")
    except ValueError as error:  # Python refuses more than 4300 digits, long past any real quantity.
        raise ValueError(NUMERIC_MESSAGE) from error
    if base == 10:
        return _shift(mantissa, exponent - len(fraction) + 9), family
    nano = _shift(mantissa << exponent, 9 - len(fraction))
    if nano > MAX_BINARY * NANO:
        nano = MAX_BINARY * NANO
    # Upstream turns binary amounts between zero and one into decimal ones "to avoid rounding and confusion".
    return nano, "DecimalSI" if 0 < nano < NANO else family


def _shift(mantissa: int, power: int) -> int:
    """mantissa * 10**power, rounded up to a whole number; never builds a power larger than it needs."""
    if power >= 0 or not mantissa:
        return mantissa * 10**power if mantissa else 0
    if -power > 5000:
        return 1
    return _divide_away(mantissa, 10**-power)


def _divide_away(number: int, divisor: int) -> int:
    """number / divisor rounded away from zero."""
    return -(-number // divisor) if number > 0 else number // divisor


def _print_binary(units: int) -> str:
    steps = 0
    while units % 1024 == 0 and steps < len(_BINARY_NAMES) - 1:
        units //= 1024
        steps += 1
    return f"{units}{_BINARY_NAMES[steps]}"


def _print_decimal(nano: int, family: Family) -> str:
    exponent = -9
    while nano % 1000 == 0 and (family == "DecimalExponent" or exponent < 18):
        nano //= 1000
        exponent += 3
    if family == "DecimalExponent":
        return f"{nano}e{exponent}" if exponent else f"{nano}"
    return f"{nano}{_DECIMAL_BY_EXPONENT[exponent]}"
