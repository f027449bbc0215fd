"""The traffic of a scenario: who asks for what, how often and how patiently; part of ``models.scenario``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from models.amounts import LEAST_VARIATION, MAX_PHASES, RandomDuration, needs_too_many_phases
from models.frozen import Frozen
from models.units import Bandwidth, Duration, Rate, Ratio, parse_duration


class Operation(Frozen):
    """One kind of request on a route and its share of the route's traffic."""

    name: str = Field(description="an operation of the app's profile (see 'stowplan catalog apps')")
    weight: float = Field(default=1.0, gt=0, description="relative share")


class Client(Frozen):
    """How the clients of a route behave, or an app as the client of what it calls."""

    timeout: Duration = Field(default=parse_duration("30s"), gt=0, description="a client gives up after this")
    retries: int = Field(default=0, ge=0, le=10, description="further attempts after a failure or timeout")
    backoff: Duration = Field(default=parse_duration("1s"), description="wait before the first retry; doubles")
    jitter: Ratio = Field(default=0.2, description="share of the back-off that is random")
    budget: float | None = Field(
        default=None, ge=0, description="retries may not exceed this share of the first attempts; default: no bound"
    )
    breaker_failures: int = Field(
        default=0, ge=0, description="so many failures in a row open the circuit breaker; 0: there is none"
    )
    breaker_open: Duration = Field(
        default=parse_duration("30s"),
        gt=0,
        description="an open breaker refuses for so long, then lets one trial through",
    )
    hedge: Duration | None = Field(
        default=None, gt=0, description="ask a second time after this long without an answer; the first answer wins"
    )
    cancel: bool = Field(
        default=True,
        description="whether a client that gives up stops the work it started (else it is still served)",
    )


class Stream(Frozen):
    """Long transfers on a route (video, uploads): they hold bandwidth, CPU or an encoder for their length."""

    name: str = Field(description="a name for the report, for example film-direct")
    kind: Literal["direct", "transcode", "upload", "download"] = Field(
        default="direct", description="what the stream does at the server"
    )
    rate: Rate = Field(description="new streams, for example 3/h")
    duration: Duration = Field(description="mean length")
    bitrate: Bandwidth = Field(description="bandwidth it holds")


class Burst(Frozen):
    """Requests that come at once, on top of all others: a cron job of clients, a link that many follow."""

    at: Duration = Field(description="time from the end of the warm-up")
    requests: int = Field(ge=1, le=1_000_000, description="how many")
    within: Duration = Field(default=0.0, description="evenly over so long; 0: all in one instant")


class Session(Frozen):
    """What a user does in one visit to the site. Each session is a new client to balancers with sticky sessions."""

    requests: float = Field(
        ge=1, allow_inf_nan=False, description="mean number of requests (after each one the session may end)"
    )
    pause: RandomDuration = Field(description="time from the end of a session to the first request of the next one")


Shape = Literal["flat", "evening", "office", "night"]


class Traffic(Frozen):
    """Load on one route (or on several that a pattern matches), or on a Service that clients call directly."""

    route: str | None = Field(
        default=None, description="host name of the route, with an optional path; * matches anything"
    )
    service: str | None = Field(
        default=None,
        pattern=r"^(Service )?[^/ ]+/[^/ ]+$",
        description="instead of a route: namespace/name of a Service that clients call without any reverse proxy, in "
        "the cluster or by node port or load balancer; in reports, objectives and thresholds the route has this name",
    )
    source: Literal["internet", "lan"] = Field(
        default="internet", description="where the clients are; default for the clients of a service: lan"
    )
    rate: Rate | None = Field(default=None, description="open arrivals: mean rate over the day")
    users: int | None = Field(default=None, ge=1, description="closed arrivals: people who click, wait and think")
    session: Session | None = Field(
        default=None,
        description="how long a user stays before the next one takes the place; default: for ever, as one client",
    )
    think_time: RandomDuration = Field(
        default=RandomDuration.model_validate("10s"), description="pause of a user between requests"
    )
    shape: Shape | tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default="flat", description="profile over the day: a name, or 24 relative weights, one an hour"
    )
    arrivals: Literal["poisson", "renewal", "trace"] = Field(
        default="poisson", description="law of the gaps between open arrivals"
    )
    variation: float = Field(default=1.0, ge=0, description="coefficient of variation of renewal gaps")
    bursts: tuple[Burst, ...] = Field(default=(), description="requests that come at once")
    trace: str | None = Field(
        default=None, description="CSV file (arrivals: trace): time in seconds, optionally route and operation"
    )
    operations: tuple[Operation, ...] = Field(
        default=(), description="mix of operations; default: the mix of the app's profile"
    )
    streams: tuple[Stream, ...] = Field(default=(), description="long transfers on this route")
    unauthorised: Ratio = Field(
        default=0.0, description="share of requests that a forward-auth middleware answers with 403"
    )
    client: Client = Field(default_factory=Client, description="patience and retries of the clients")

    @model_validator(mode="before")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        """Clients of a Service are at home unless the scenario says otherwise."""
        if isinstance(value, dict) and value.get("service") is not None and "source" not in value:
            return {**value, "source": "lan"}
        return value

    @model_validator(mode="after")
    def _one_kind_of_load(self) -> Traffic:
        if (self.route is None) == (self.service is None):
            raise ValueError("say where requests go: exactly one of route and service")
        if self.arrivals == "trace":
            if self.trace is None:
                raise ValueError("arrivals: trace needs the file: set trace")
        elif self.rate is not None and self.users is not None:
            raise ValueError("set either rate (open arrivals) or users (closed arrivals), not both")
        elif self.rate is None and self.users is None and not self.streams and not self.bursts:
            raise ValueError("nothing arrives here: set rate, users, bursts or streams")
        if self.session is not None and self.users is None:
            raise ValueError("a session is what users have: set users, or leave session out")
        if self.arrivals == "renewal" and needs_too_many_phases(self.variation):
            least = f"0 or at least {LEAST_VARIATION:.2g}"
            raise ValueError(
                f"variation {self.variation:g} is not {least}: even gaps are erlang of {MAX_PHASES} phases"
            )
        if isinstance(self.shape, tuple) and (len(self.shape) != 24 or not sum(self.shape)):
            raise ValueError("shape needs 24 weights, one an hour, not all zero")
        return self
