"""The connections to all engines that this process talks to, by instance."""

from __future__ import annotations

from gateway.proxy.in_flight import EngineAddress
from gateway.proxy.upstream import Upstream


class Upstreams:
    """One `Upstream` per instance, made when it is first needed."""

    def __init__(self) -> None:
        self._by_instance: dict[str, tuple[EngineAddress, Upstream]] = {}

    def to(self, address: EngineAddress) -> Upstream:
        """The client for this engine; a new one where its port or key changed (a restart)."""
        known = self._by_instance.get(address.instance_id)
        if known is not None and (known[0] is address or known[0] == address):
            return known[1]
        self.forget(address.instance_id)
        upstream = Upstream(address.host, address.port, address.api_key)
        self._by_instance[address.instance_id] = (address, upstream)
        return upstream

    def forget(self, instance_id: str) -> None:
        """The instance is gone or going: close its idle connections; answers under way go on."""
        known = self._by_instance.pop(instance_id, None)
        if known is not None:
            known[1].close()

    def close(self) -> None:
        """Forget all."""
        for instance_id in list(self._by_instance):
            self.forget(instance_id)
