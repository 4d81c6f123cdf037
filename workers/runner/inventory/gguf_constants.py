"""The numbers of the GGUF format: value types, tensor block sizes, file-type names.

They are the tables of the `gguf` package, taken from its `constants` module without importing the
package itself: that would bring numpy along, 16 MB and a quarter of a second for every runner.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def _tables() -> ModuleType:
    package = importlib.util.find_spec("gguf")
    if package is None or package.origin is None:
        raise ImportError("the package `gguf` is not installed")
    source = Path(package.origin).with_name("constants.py")
    spec = importlib.util.spec_from_file_location("gguf_constants", source)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {source}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_gguf = _tables()

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT: int = _gguf.GGUF_DEFAULT_ALIGNMENT

VALUE_TYPES: dict[int, str] = {int(kind): kind.name for kind in _gguf.GGUFValueType}
"""Metadata value type → its name, such as UINT32, STRING, ARRAY."""

BLOCKS: dict[int, tuple[int, int]] = {
    int(kind): sizes for kind, sizes in _gguf.GGML_QUANT_SIZES.items()
}
"""Tensor type → (numbers per block, bytes per block)."""

FILE_TYPES: dict[int, str] = {int(kind): kind.name for kind in _gguf.LlamaFileType}
"""`general.file_type` → its name, such as MOSTLY_Q4_K_M."""

del _gguf  # only the three tables are kept: the module holds megabytes of tensor names
