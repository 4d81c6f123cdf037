"""The proxy process: inference requests in, engines' answers out."""

from __future__ import annotations

from common import service
from common.api import metrics, tokens
from common.delivery import Delivery
from common.hosts import is_loopback
from common.settings import Settings
from gateway.auth import Access, refuse_unguarded
from gateway.fleet import Fleet
from gateway.origins import Guard
from gateway.proxy.activity import Activity
from gateway.proxy.app import ProxyApp
from gateway.proxy.fleet_router import FleetRouter
from gateway.proxy.heap import keep_freed_memory
from gateway.proxy.metering import GATHER_S, RECORDS, Metering
from gateway.proxy.upstreams import Upstreams
from gateway.serving import listen, serve

LEARN_S = 5.0
"""Then callers are told to try again; another proxy of the same port may know already."""


async def work(process: service.Process) -> None:
    """Serve until told to stop; requests under way may then take the drain timeout to end."""
    keep_freed_memory()
    settings, llama = process.settings, process.settings.llama
    await refuse_unguarded(process, "llama")
    access = Access(process.bus.mirror(tokens.TOKEN), public=not is_loopback(llama.host))
    upstreams = Upstreams()
    fleet = Fleet(process.bus, process.live)
    router = FleetRouter(process.bus, fleet, upstreams)
    activity = Activity(process.home.request_count(process.arguments.name))
    activities = process.bus.table(metrics.ACTIVITY)
    identity = process.identity
    delivery = Delivery(process.bus, GATHER_S)
    outbox = delivery.open(RECORDS, identity.name, identity.epoch)
    metering = Metering(identity.name, identity.epoch, activity, outbox)
    metering.serve(process.bus)
    app = ProxyApp(
        router,
        upstreams,
        guard=Guard.of_proxy(settings),
        access=access,
        max_body_bytes=llama.max_body_bytes,
        metering=metering,
    )

    def follow(_before: Settings, after: Settings) -> None:
        app.max_body_bytes = after.llama.max_body_bytes

    process.live.on_change(follow)
    sock = listen(llama.host, llama.port, shared=True)
    try:
        async with process.joined():
            process.spawn(router.tell_traffic(), "traffic")
            process.spawn(activity.tell(activities), "activity")
            process.spawn(delivery.run(), "records")
            await access.learn(process.stopping, LEARN_S)
            await fleet.learn(process.stopping)
            await serve(
                app,
                sock,
                process.stopping,
                drain_s=lambda: process.live.current.llama.drain_timeout_seconds,
            )
            await delivery.finish()
    finally:
        upstreams.close()


if __name__ == "__main__":
    service.run("proxy", work)
