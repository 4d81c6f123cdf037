"""The gateway process: Socket.IO clients on one side, the backplane on the other."""

from __future__ import annotations

import asyncio
from functools import partial

from common import service
from common.api import config, logs, metrics, models, system, tokens
from common.dispatch import Dispatcher
from common.hosts import is_loopback
from gateway.app import GatewayApp
from gateway.auth import Access, refuse_unguarded
from gateway.fleet import Fleet
from gateway.fleet_metrics import FleetMetrics
from gateway.handlers.config import ConfigHandlers
from gateway.handlers.logs import LogHandlers
from gateway.handlers.metrics import MetricsHandlers
from gateway.handlers.models import ModelHandlers
from gateway.handlers.presets import PresetHandlers
from gateway.handlers.requests import RequestHandlers
from gateway.handlers.restart import RestartHandler
from gateway.handlers.system import SystemHandlers
from gateway.handlers.tokens import TokenHandlers
from gateway.local import LocalEntrance, listening_locally
from gateway.log_feed import LogFeed
from gateway.metrics_updates import MetricsUpdates
from gateway.origins import Guard
from gateway.outgoing import give_up_stuck
from gateway.pages import Pages
from gateway.relay import Relay
from gateway.serving import listen, serve
from gateway.sockets import NAMESPACES, Sockets
from gateway.strangers import Strangers

STOP_S = 1.0


async def work(process: service.Process) -> None:
    """Serve clients until told to stop."""
    bus, settings, address = process.bus, process.settings, process.settings.server
    await refuse_unguarded(process, "server")
    access = Access(bus.mirror(tokens.TOKEN), public=not is_loopback(address.host))
    fleet = Fleet(bus, process.live)
    model_handlers = ModelHandlers(fleet, bus)
    system_handlers = SystemHandlers(fleet)

    dispatcher = Dispatcher()
    dispatcher.register(models.LIST, model_handlers.list)
    dispatcher.register(models.INFO, model_handlers.info)
    dispatcher.register(models.DETAILS, model_handlers.details)
    dispatcher.register(models.LOAD, model_handlers.load)
    dispatcher.register(models.UNLOAD, model_handlers.unload)
    dispatcher.register(system.STATUS, system_handlers.status)
    dispatcher.register(system.RESTART, RestartHandler(fleet, bus).restart)

    log_feed = LogFeed(bus)
    log_handlers = LogHandlers(bus, log_feed.readers)
    dispatcher.register(logs.GET, log_handlers.get)
    dispatcher.register(logs.SUBSCRIBE, log_handlers.subscribe)
    dispatcher.register(logs.UNSUBSCRIBE, log_handlers.unsubscribe)

    figures = FleetMetrics(bus)
    metrics_updates = MetricsUpdates(figures)
    metrics_handlers = MetricsHandlers(bus, figures, metrics_updates)
    dispatcher.register(metrics.GET, metrics_handlers.get)
    dispatcher.register(metrics.SUBSCRIBE, metrics_handlers.subscribe)
    dispatcher.register(metrics.UNSUBSCRIBE, metrics_handlers.unsubscribe)
    dispatcher.register(metrics.HISTORY, metrics_handlers.history)
    PresetHandlers(bus).register(dispatcher)
    RequestHandlers(bus).register(dispatcher)

    config_handlers = ConfigHandlers(bus, process.live)
    dispatcher.register(config.GET, config_handlers.get)
    dispatcher.register(config.SCHEMA, config_handlers.schema)
    dispatcher.register(config.UPDATE, config_handlers.update)
    dispatcher.register(config.VALIDATE, config_handlers.validate)

    token_handlers = TokenHandlers(access, bus)
    dispatcher.register(tokens.IDENTITY, token_handlers.identity)
    dispatcher.register(tokens.LIST, token_handlers.list)
    dispatcher.register(tokens.CREATE, token_handlers.create)
    dispatcher.register(tokens.REVOKE, token_handlers.revoke)

    guard = Guard.of_gateway(settings)
    sockets = Sockets(dispatcher, guard, access)
    for listener in (Relay(fleet, bus, sockets.emit), log_feed, metrics_updates):
        sockets.listen(listener)
    sock = listen(address.host, address.port)
    give_up_stuck(sock)
    app = GatewayApp(sockets, guard, Pages.of(settings))
    own_socket = process.home.own_socket(process.arguments.name)
    with listening_locally(own_socket) as own_sock:
        async with process.joined(), asyncio.TaskGroup() as entrances:
            process.spawn(sockets.outgoing.run(), "outgoing")
            process.spawn(log_feed.run(sockets.outgoing), "log feed")
            process.spawn(metrics_updates.run(sockets.outgoing), "metrics updates")
            process.spawn(sockets.expel(), "access")
            process.spawn(Strangers(sockets.server, NAMESPACES).run(), "strangers")
            serving = partial(
                serve, stopping=process.stopping, drain_s=lambda: STOP_S, websockets=True
            )
            entrances.create_task(serving(LocalEntrance(app), own_sock), name="local")
            await access.learn(process.stopping)
            await fleet.learn(process.stopping)
            await serving(app, sock)


if __name__ == "__main__":
    service.run("gateway", work)
