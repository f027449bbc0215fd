"""Quantities: the tables of apimachinery/pkg/api/resource/quantity_test.go, and properties of exact arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules.quantity import (
    FORMAT_MESSAGE,
    NUMERIC_MESSAGE,
    SUFFIX_MESSAGE,
    Quantity,
    bytes_of,
    cpu_millis,
    format_bytes,
    format_millicores,
    parse_quantity,
)

families = st.sampled_from(["DecimalSI", "BinarySI", "DecimalExponent"])
quantities = st.builds(Quantity, st.integers(-(10**31), 10**31), families)
SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1Ki", "1Ki"), ("1024Mi", "1Gi"), ("1000M", "1G"), (".001Ki", "1024m"), (".000001Ki", "1024u"),
        (".000000001Ki", "1024n"), (".000000000001Ki", "2n"), ("307200Ki", "300Mi"), ("1025024Mi", "1001Gi"),
        ("1024Gi", "1Ti"), ("5000m", "5"), ("0.5", "500m"), ("0.001T", "1G"), ("1000u", "1m"), ("1.08", "1080m"),
        ("1080000000n", "1080m"), (".001e12", "1e9"), ("0.001e0", "1e-3"), ("1000e-12", "1e-9"), ("00", "0"),
        ("1.5Gi", "1536Mi"), ("1.5", "1500m"), ("12E", "12E"), ("9Ei", "9223372036854775807"),
        ("9223372036854775807Ki", "9223372036854775807"), ("3.001n", "4n"), ("0.00000012345", "124n"),
        ("0.9n", "1n"), ("1.1E-9", "2e-9"), ("100.035k", "100035"), ("7.123456M", "7123456"), ("2.5P", "2500T"),
        ("100.035Ki", "102435840m"), ("0.5Mi", "512Ki"), ("0.05Gi", "53687091200m"), ("1.G", "1G"), ("1.", "1"),
        ("500Ki", "500Ki"), ("1025", "1025"), ("0Gi", "0"), ("1E6", "1e6"), ("-9.01", "-9010m"), ("+1Gi", "1Gi"),
    ],
)  # fmt: skip
def test_quantity_prints_canonically(written: str, canonical: str) -> None:
    assert str(parse_quantity(written)) == canonical


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", FORMAT_MESSAGE), ("1.1.M", FORMAT_MESSAGE), ("1+1.0M", FORMAT_MESSAGE), ("0.1am", FORMAT_MESSAGE),
        ("aoeu", FORMAT_MESSAGE), (" 1", FORMAT_MESSAGE), ("1 ", FORMAT_MESSAGE), ("1\n", FORMAT_MESSAGE),
        ("0.1mi", SUFFIX_MESSAGE), (".5i", SUFFIX_MESSAGE), ("1i", SUFFIX_MESSAGE), ("-3.01i", SUFFIX_MESSAGE),
        ("-3.01e-", SUFFIX_MESSAGE), ("1K", SUFFIX_MESSAGE), ("1e99999999999999999999", SUFFIX_MESSAGE),
        ("Pi", NUMERIC_MESSAGE), ("e-20", NUMERIC_MESSAGE), ("9" * 5000, NUMERIC_MESSAGE), ("١", FORMAT_MESSAGE),
    ],
)  # fmt: skip
def test_bad_quantity_is_refused_in_the_words_of_apimachinery(written: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_quantity(written)
    assert str(caught.value) == message


def test_a_huge_exponent_is_refused_rather_than_eating_all_memory() -> None:
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        parse_quantity("1e999999999")
    assert str(parse_quantity("1e-999999999")) == "1e-9"


@pytest.mark.parametrize(("value", "text"), [(2, "2"), (0.5, "500m"), (1.0, "1"), (1e21, "1e21"), (10**9, "1G")])
def test_yaml_numbers_are_read_as_what_they_print(value: float, text: str) -> None:
    assert str(parse_quantity(value)) == text


@pytest.mark.parametrize("value", [True, float("nan"), float("inf")])
def test_yaml_values_that_are_no_amount_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse_quantity(value)


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [("0", "1Gi", "1Gi"), ("1Gi", "0", "1Gi"), ("1Gi", "1M", "1074741824"), ("1M", "1Gi", "1074741824"),
     ("1", "100m", "1100m"), ("1Gi", "1Mi", "1025Mi"), ("0Gi", "1500", "1500")],
)  # fmt: skip
def test_sum_keeps_the_family_of_the_left_unless_it_is_zero(left: str, right: str, total: str) -> None:
    assert str(parse_quantity(left) + parse_quantity(right)) == total


def test_zero_minus_a_quantity_is_its_negative_in_the_same_family() -> None:
    assert str(parse_quantity("0") - parse_quantity("1Gi")) == "-1Gi"
    assert str(parse_quantity("100m") - parse_quantity("0")) == "100m"


@pytest.mark.parametrize(
    ("written", "units", "millis"),
    [
        ("1001m", 2, 1001),
        ("1n", 1, 1),
        ("-1001m", -2, -1001),
        ("0.1m", 1, 1),
        ("1Gi", 2**30, 2**30 * 1000),
        ("0", 0, 0),
    ],
)
def test_values_round_away_from_zero(written: str, units: int, millis: int) -> None:
    assert (bytes_of(written), cpu_millis(written)) == (units, millis)


@pytest.mark.parametrize(
    ("exponent", "text"), [(-3, "9010m"), (-2, "9010m"), (-1, "9100m"), (0, "10"), (1, "10"), (2, "100")]
)
def test_round_up_follows_the_upstream_table(exponent: int, text: str) -> None:
    assert str(parse_quantity("9.01").round_up(exponent)) == text
    assert str(parse_quantity("-9.01").round_up(exponent)) == f"-{text}"


def test_formats_for_people_are_canonical() -> None:
    assert (format_millicores(1500), format_millicores(2000), format_millicores(0)) == ("1500m", "2", "0")
    assert (format_bytes(2**30), format_bytes(1000), format_bytes(1536 * 2**20)) == ("1Gi", "1k", "1536Mi")


def test_equal_amounts_of_different_families_are_equal_and_hash_alike() -> None:
    assert parse_quantity("1Ki") == parse_quantity("1024") == parse_quantity("1024e0")
    assert len({parse_quantity("1Ki"), parse_quantity("1024")}) == 1
    assert parse_quantity("10000T") > parse_quantity("100Gi")


@given(quantities)
def test_parsing_what_was_printed_gives_the_same_amount(quantity: Quantity) -> None:
    if quantity.family == "BinarySI" and abs(quantity.nano) > (2**63 - 1) * 10**9:
        quantity = Quantity(quantity.nano // 10**12, "BinarySI")
    assert parse_quantity(str(quantity)) == quantity
    assert str(parse_quantity(str(quantity))) == str(quantity)


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.sampled_from(sorted(SUFFIXES)))
def test_decimal_parsing_agrees_with_rational_arithmetic(whole: int, fraction: int, suffix: str) -> None:
    exact = (whole + Fraction(fraction, 10 ** len(str(fraction)))) * Fraction(10) ** (SUFFIXES[suffix] + 9)
    assert parse_quantity(f"{whole}.{fraction}{suffix}").nano == -(-exact.numerator // exact.denominator)


@given(st.integers(0, 10**6), st.sampled_from(sorted(BINARY)))
def test_binary_parsing_agrees_with_powers_of_two(whole: int, suffix: str) -> None:
    assert parse_quantity(f"{whole}{suffix}").value() == whole << BINARY[suffix]


@given(quantities, quantities)
def test_order_and_difference_agree(left: Quantity, right: Quantity) -> None:
    assert (left < right) == ((left - right).sign < 0)
    assert left + right - right == left
