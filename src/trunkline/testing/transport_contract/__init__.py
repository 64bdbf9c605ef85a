"""What every transport must do, as tests against a server that can answer back.

    pytest_plugins = ["trunkline.testing.plugin"]

    class TestMyTransport(TransportContract):
        def make_transport(self, settings: Settings) -> Transport:
            return MyTransport(settings)

A transport moves bytes: it sends what it is given once and reports what came, or why nothing did. Every test carries
a secret in its URL; `run` looks for it in every detail.

    subject      the transport under test, and what the tests share
    sending      what of a request arrives
    answers      status and headers, and where an answer ends
    bodies       put together, decoded, and no larger than allowed
    failures     what goes wrong gets its name
    restraint    what a transport does not do by itself
    connections  reused, as many as needed, never a stale one
    polling      how long a poll waits, and what closing leaves behind
    tls          whom it trusts, and how it says who it is
    proxies      of the options and of the environment
"""

from __future__ import annotations

from trunkline.testing.transport_contract.answers import Answers
from trunkline.testing.transport_contract.bodies import Bodies
from trunkline.testing.transport_contract.connections import Connections
from trunkline.testing.transport_contract.failures import Failures
from trunkline.testing.transport_contract.polling import Polling
from trunkline.testing.transport_contract.proxies import Proxies
from trunkline.testing.transport_contract.restraint import Restraint
from trunkline.testing.transport_contract.sending import Sending
from trunkline.testing.transport_contract.subject import begin, run, run_all, url
from trunkline.testing.transport_contract.tls import Tls

__all__ = ["TransportContract", "begin", "run", "run_all", "url"]


class TransportContract(Sending, Answers, Bodies, Failures, Restraint, Connections, Polling, Tls, Proxies):
    """Override `make_transport`; pytest does the rest."""
