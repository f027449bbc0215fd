"""Certificates: renewal at two thirds of their life, back-off after failures, and expiry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.objects import KubeObject
from models.platform import Platform
from models.units import parse_duration
from sim.platform.clock import Timer
from sim.platform.external import CA
from sim.platform.log import Story

if TYPE_CHECKING:
    from sim.platform.controllers import Controller
    from sim.platform.world import World

MANAGER_IMAGE = "cert-manager-controller"


@dataclass(eq=False)
class CertificateSim:
    """One certificate: valid until ``expires``; ``acme``: it needs the outside authority."""

    id: str
    lifetime: float
    acme: bool
    expires: float
    failures: int = 0
    renewal: Timer | None = None
    expiry: Timer | None = None


class Certificates:
    """All Certificates that cert-manager keeps. Their age at the start is random, as in a platform that runs."""

    def __init__(self, world: World, platform: Platform) -> None:
        self.world = world
        self.managers: list[Controller] = [
            controller
            for controller in world.controllers.values()
            if any(MANAGER_IMAGE in item.image for item in controller.model.containers)
        ]
        self.blocked: list[Story] = []
        self.items: dict[str, CertificateSim] = {}
        fraction = float(world.timings.value("certmanager.renew_at"))
        for item in platform.by_kind("Certificate", "cert-manager.io"):
            name = f"Certificate {item.namespace}/{item.name}"
            acme = _acme(platform, item)
            life = self._lifetime(item, acme)
            age = world.streams[f"certificate/{name}"].uniform(0.0, fraction * life)
            self.items[name] = CertificateSim(name, life, acme, world.now - age + life)

    def start(self) -> None:
        """Plan the first renewals."""
        for item in self.items.values():
            self._plan(item)

    def expired(self, name: str) -> bool:
        """Whether clients refuse the certificate; one that nobody renews here is taken to be valid."""
        item = self.items.get(name)
        return item is not None and item.expires <= self.world.now

    def expire(self, item: CertificateSim, story: Story) -> None:
        """CertificateChaos expire: it is no longer valid; cert-manager sees that and asks for a new one."""
        item.expires = self.world.now
        self._expired(item, story)
        self._renew(item)

    def _lifetime(self, item: KubeObject, acme: bool) -> float:
        default = self.world.timings.seconds("certmanager.duration_default")
        if acme:
            return self.world.timings.seconds("letsencrypt.lifetime")
        stated = item.spec.get("duration")
        try:
            return parse_duration(stated) if stated else default
        except ValueError:
            return default

    def _plan(self, item: CertificateSim) -> None:
        for timer in (item.renewal, item.expiry):
            if timer is not None:
                timer.cancel()
        fraction = float(self.world.timings.value("certmanager.renew_at"))
        due = item.expires - (1.0 - fraction) * item.lifetime
        item.renewal = self.world.clock.at(due, lambda: self._renew(item))
        item.expiry = self.world.clock.at(
            item.expires, lambda: self._expired(item, Story(f"{item.id} was not renewed", self.world.now))
        )

    def _expired(self, item: CertificateSim, story: Story) -> None:
        self.world.log("CertificateExpired", item.id, "clients refuse the connection", story, "error")
        self.world.routes.external_changed()

    def _why_not(self, item: CertificateSim) -> Story | None:
        world = self.world
        if self.blocked:
            return self.blocked[0]
        if item.acme and (story := world.externals.why_down(CA)) is not None:
            return story
        if not world.control_plane.active:
            return world.control_plane.story
        alive = any(pod.reported and pod.serves for manager in self.managers for pod in manager.pods.values())
        return None if alive or not self.managers else Story("cert-manager is not running", world.now)

    def _renew(self, item: CertificateSim) -> None:
        world = self.world
        if item.renewal is not None:
            item.renewal.cancel()
        low, high = world.timings.range_s("acme.dns01_issue_time") if item.acme else (0.0, 0.0)
        delay = world.streams[f"certificate/{item.id}"].uniform(low, high)
        item.renewal = world.clock.after(delay, lambda: self._issued(item))

    def _issued(self, item: CertificateSim) -> None:
        world = self.world
        why = self._why_not(item)
        if why is None:
            item.failures = 0
            item.expires = world.now + item.lifetime
            world.log("CertificateIssued", item.id, f"valid for {item.lifetime / 86400:.0f} days")
            self._plan(item)
            world.routes.external_changed()
            return
        first, last = world.timings.range_s("certmanager.failed_request_backoff")
        delay = min(first * 2.0**item.failures, last)
        item.failures += 1
        message = f"issuing failed, next attempt in {delay / 3600:.0f} h"
        world.log("CertificateFailed", item.id, message, why, "warning")
        item.renewal = world.clock.after(delay, lambda: self._renew(item))


def _acme(platform: Platform, item: KubeObject) -> bool:
    """Whether the issuer is an ACME one; an issuer that the tree does not show is taken to be."""
    kind = str(item.get("spec", "issuerRef", "kind", default="Issuer"))
    namespace = "" if kind == "ClusterIssuer" else item.namespace
    issuer = platform.get(kind, namespace, str(item.get("spec", "issuerRef", "name", default="")))
    return issuer is None or "acme" in issuer.spec
