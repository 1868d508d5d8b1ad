"""A control plane that answers over HTTP, and its client: what tests of the API ask."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import httpx

from cloche.artifacts import Deployment, RevisionStatus
from cloche.clients.control import record as home
from cloche.clients.control.client import ControlClient
from cloche.settings import Settings
from cloche.testing import FixedVerifier, LivingTarget, deployment
from fixtures.local import until


@dataclass
class Served:
    """A control plane that answers, with what it stands on."""

    control: ControlClient
    target: LivingTarget
    verifier: FixedVerifier
    settings: Settings
    thread: threading.Thread

    def deployed(self, asked: Deployment | None = None) -> RevisionStatus:
        """Deploy and return the revision when its rollout has ended."""
        asked = asked or deployment()
        number = self.control.deploy(asked)["revision"]
        until(lambda: self.control.revision(asked.service, number).phase.ended)
        return self.control.revision(asked.service, number)

    def raw(self, **headers: str) -> httpx.Client:
        """Return a plain HTTP client with the right token, and other headers if given."""
        record = home.read_record(self.settings.home)
        assert record is not None
        token = {"authorization": f"Bearer {home.read_token(self.settings.home)}"}
        address = f"http://127.0.0.1:{record.port}"
        return httpx.Client(base_url=address, headers=token | headers, trust_env=False)
