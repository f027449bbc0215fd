"""Results are asked for by the names that the program gave, and a name that is none is told with those there are."""

from __future__ import annotations

import math

import pytest

from sim.engine import make_engine
from sim.measures import EngineMeasures, merge
from sim.program import Draw, Node, Operation, PodStation, Program, Service, Source, Wait

SHOP = Program(
    nodes=(Node("node", 1.0),),
    services=(Service("shop"),),
    operations=(
        Operation("list", 0, (Wait(Draw(0.1, "constant")),)),
        Operation("buy", 0, (Wait(Draw(0.3, "constant")),)),
    ),
    sources=(
        Source("people", 1, ((0, 1.0), (1, 1.0)), trace=(0.0, 1.0, 2.0, 3.0), trace_operations=(0, 0, 1, 0)),
        Source("probe", 0, ((0, 1.0),), trace=(5.0,)),
    ),
    routes=("health", "shop"),
    pods=(PodStation("shop-0", 0, 0),),
)


def measured() -> EngineMeasures:
    engine = make_engine(SHOP, seed=1)
    engine.advance(10.0)
    return engine.measures()


def test_four_requests_in_ten_seconds_are_a_throughput_of_point_four_by_name_as_by_index() -> None:
    found = measured()
    assert found.route_index("shop") == 1
    assert (found.throughput("shop"), found.throughput(1), found.throughput("health")) == (0.4, 0.4, 0.1)


def test_throughput_of_three_replications_is_that_of_one() -> None:
    assert merge([measured()] * 3).throughput("shop") == pytest.approx(0.4)


def test_three_lists_of_100_ms_and_a_purchase_of_300_ms_take_150_ms_on_average() -> None:
    found = measured()
    assert found.route_mean("shop") == pytest.approx(0.15)
    assert found.route_quantile("shop", 0.75) == pytest.approx(0.1, rel=0.01)
    assert found.route_quantile("shop", 0.76) == pytest.approx(0.3, rel=0.01)


def test_the_series_of_an_operation_is_found_by_route_and_operation() -> None:
    found = measured()
    assert found.quantile(found.series_index("shop", "buy"), 0.5) == pytest.approx(0.3, rel=0.01)
    assert found.arrived[found.series_index("health", "list")] == 1


def test_before_any_time_has_passed_there_is_no_throughput_and_no_latency() -> None:
    found = make_engine(SHOP, seed=1).measures()
    assert math.isnan(found.throughput("shop"))
    assert math.isnan(found.route_mean("shop"))
    assert math.isnan(found.route_quantile("shop", 0.5))


def test_a_name_that_is_none_is_told_with_those_that_there_are() -> None:
    found = measured()
    with pytest.raises(ValueError, match=r"^no route is called 'store': there are health, shop$"):
        found.throughput("store")
    with pytest.raises(ValueError, match=r"^no operation of route health is called 'buy': there are list$"):
        found.series_index("health", "buy")
