"""From a request's trace to what is told of it, under way and in the end. Pure.

Called once a request's last byte has left, so nobody waits for what it takes.
"""

from __future__ import annotations

from common import timestamps
from common.api.requests import RequestInFlight, RequestRecord
from gateway.proxy.trace import Trace

MAX_MODEL_CHARACTERS = 300
"""Of a name that somebody made up: a record has a bound."""


def in_flight(trace: Trace, request_id: str, proxy: str, status: int) -> RequestInFlight:
    """A request as it is now."""
    waited_s, loading_s = trace.waited_s
    return RequestInFlight(
        id=request_id,
        model=_shown(trace.model_id),
        endpoint=trace.endpoint,
        caller=trace.caller,
        proxy=proxy,
        started_at=timestamps.iso(trace.arrived_at_s),
        queue_ms=_ms(waited_s),
        load_ms=_ms(loading_s),
        first_token_ms=_first_token_ms(trace),
        duration_ms=_ms(trace.took_s),
        bytes_in=trace.bytes_in,
        bytes_out=trace.bytes_out,
        status=status,
        state=trace.state,
    )


def record(trace: Trace, request_id: str, proxy: str, status: int) -> RequestRecord:
    """A request that is over."""
    usage = trace.usage()
    queue_ms = load_ms = 0.0
    if trace.queued_at_s is not None:
        queue_ms, load_ms = map(_ms, trace.waited_s)
    return RequestRecord(
        id=request_id,
        model=_shown(trace.model_id),
        endpoint=trace.endpoint,
        caller=trace.caller,
        proxy=proxy,
        started_at=timestamps.iso(trace.arrived_at_s),
        queue_ms=queue_ms,
        load_ms=load_ms,
        first_token_ms=_first_token_ms(trace),
        duration_ms=_ms(trace.took_s),
        bytes_in=trace.bytes_in,
        bytes_out=trace.bytes_out,
        status=status,
        prompt_tokens=usage.prompt,
        cached_tokens=usage.cached,
        completion_tokens=usage.completion,
        tokens_per_second=usage.per_second,
        end=trace.end,
    )


def _first_token_ms(trace: Trace) -> float | None:
    at_s = trace.first_chunk_at_s
    return None if at_s is None else _ms(at_s - trace.began_s)


def _ms(seconds: float) -> float:
    return int(seconds * 1_000_000) / 1_000  # a third of what `round` takes


def _shown(model_id: str) -> str:
    if len(model_id) > MAX_MODEL_CHARACTERS:
        model_id = model_id[:MAX_MODEL_CHARACTERS] + "…"
    # Lone surrogates, which JSON can hold, have no form in UTF-8.
    return model_id if model_id.isascii() else model_id.encode(errors="replace").decode()
