"""What the record of a model says when no engine runs for it, and why. Pure."""

from __future__ import annotations

from pathlib import Path

import msgspec

from common.api.instances import Instance
from common.api.inventory import ModelFile
from common.api.models import Failure, Model, ModelFacts
from common.errors import ModelLoadFailed, ProxyError
from workers.controller.fleet import FoundFile

NO_ROOM = "no_room"


def of_file(found: FoundFile) -> Model:
    """The record of a model that was found on disk just now."""
    file = found.file
    return Model(
        id=file.id,
        name=file.name,
        path=file.path,
        size=file.size,
        scanner=found.scanner,
        mtime_ns=file.mtime_ns,
        status="unloaded",
        facts=_facts(file),
    )


def of_engine(engine: Instance) -> Model:
    """The record of a model of which there is only an engine: its file is gone, or yet unseen."""
    return Model(
        id=engine.model_id,
        name=Path(engine.path).name,
        path=engine.path,
        size=engine.size,
        scanner=engine.runner,
        mtime_ns=0,
        status="unloaded",
    )


def described(record: Model, found: FoundFile) -> Model:
    """The record with what is known of its file now."""
    file = found.file
    return msgspec.structs.replace(
        record,
        name=file.name,
        path=file.path,
        size=file.size,
        mtime_ns=file.mtime_ns,
        scanner=found.scanner,
        facts=_facts(file),
    )


def _facts(file: ModelFile) -> ModelFacts:
    return ModelFacts(
        architecture=file.architecture,
        # GGUF's constants say MOSTLY_Q4_K_M where people, and file names, say Q4_K_M.
        quantization=file.file_type and file.file_type.removeprefix("MOSTLY_").removeprefix("ALL_"),
        parameter_count=file.parameter_count,
        context_length=file.context_length,
    )


def at_rest(record: Model, found: FoundFile | None, failure: Failure | None) -> Model:
    """`unloaded`, or `error` where the file or the last engine was faulty.

    A model that merely found no room is not faulty: the reason is told, the status is `unloaded`.
    """
    file = found.file if found is not None else None
    if found is not None:
        record = described(record, found)
    file_problem = file.reason if file is not None and file.state != "ok" else None
    faulty = file_problem or (failure is not None and failure.reason != NO_ROOM)
    return msgspec.structs.replace(
        record,
        status="error" if faulty else "unloaded",
        reason=failure.message if failure else file_problem,
        failure=failure,
        progress=None,
        runner=None,
        instance_id=None,
        preset=None,
        memory_usage=None,
        loaded_at=None,
        expires_at=None,
        ttl_seconds=None,
    )


def failure_of(error: ProxyError, *, code: str = ModelLoadFailed.code) -> Failure:
    """An error as the record keeps it."""
    details = error.details or {}
    return Failure(
        code=code,
        reason=str(details.get("reason", error.code.lower())),
        message=error.message,
        hint=details.get("hint"),
        excerpt=tuple(details.get("excerpt", ())),
    )


def lost_engine(model_id: str) -> Failure:
    """An engine of which its runner says nothing any more."""
    return Failure(
        code=ModelLoadFailed.code,
        reason="engine_lost",
        message=f"the engine of {model_id} ended by itself",
    )


def pause_after(failures: int) -> float:
    """Seconds during which requests do not try a model again that failed so often in a row."""
    return float(min(1 << min(failures, 16), 60))
