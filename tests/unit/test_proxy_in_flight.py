from __future__ import annotations

import asyncio

from gateway.proxy.in_flight import EngineAddress, InFlight, InstanceUse, Lease


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def address(instance_id: str = "a") -> EngineAddress:
    return EngineAddress(instance_id, "127.0.0.1", 9000, "secret")


def held(in_flight: InFlight, instance_id: str = "a") -> Lease:
    lease = in_flight.lease(address(instance_id))
    assert lease is not None
    return lease


def test_leases_are_counted_by_instance() -> None:
    in_flight = InFlight()
    first, second = held(in_flight), held(in_flight)
    other = held(in_flight, "b")
    assert (in_flight.count("a"), in_flight.count("b"), in_flight.count("c")) == (2, 1, 0)
    first.release()
    assert in_flight.count("a") == 1
    with second, other:
        assert (second.instance_id, second.address) == ("a", address())
    assert (in_flight.count("a"), in_flight.count("b")) == (0, 0)


def test_a_lease_released_twice_counts_once() -> None:
    in_flight = InFlight()
    first, second = held(in_flight), held(in_flight)
    first.release()
    first.release()
    assert in_flight.count("a") == 1
    second.release()
    assert in_flight.count("a") == 0


def test_use_is_dated_by_its_begin_and_end() -> None:
    clock = Clock()
    in_flight = InFlight(clock)
    lease = held(in_flight)
    assert in_flight.uses() == [InstanceUse("a", 1, 1000.0)]
    clock.now_s = 1060.0
    lease.release()
    assert in_flight.uses() == [InstanceUse("a", 0, 1060.0)]
    in_flight.drain("never used")
    assert len(in_flight.uses()) == 1


async def test_a_draining_instance_takes_no_more_and_is_drained_by_its_last_release() -> None:
    in_flight = InFlight()
    first, second = held(in_flight), held(in_flight)
    in_flight.drain("a")
    assert in_flight.draining("a")
    assert in_flight.lease(address()) is None
    waiting = asyncio.create_task(in_flight.drained("a"))
    first.release()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.release()
    async with asyncio.timeout(5):
        await waiting


async def test_an_idle_or_unknown_instance_is_drained_at_once() -> None:
    in_flight = InFlight()
    held(in_flight).release()
    async with asyncio.timeout(5):
        await in_flight.drained("a")
        await in_flight.drained("unknown")


async def test_without_drain_a_new_lease_keeps_the_waiter_waiting() -> None:
    in_flight = InFlight()
    first = held(in_flight)
    waiting = asyncio.create_task(in_flight.drained("a"))
    await asyncio.sleep(0)
    first.release()
    second = held(in_flight)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.release()
    async with asyncio.timeout(5):
        await waiting


def test_an_instance_can_be_taken_into_use_again() -> None:
    in_flight = InFlight()
    in_flight.drain("a")
    in_flight.undrain("a")
    assert not in_flight.draining("a")
    held(in_flight).release()


def test_a_forgotten_instance_leaves_nothing_behind() -> None:
    in_flight = InFlight()
    lease = held(in_flight)
    in_flight.drain("a")
    in_flight.forget("a")
    assert (in_flight.count("a"), in_flight.uses(), in_flight.draining("a")) == (0, [], False)
    again = held(in_flight)
    lease.release()
    assert in_flight.count("a") == 1
    again.release()


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(address())
