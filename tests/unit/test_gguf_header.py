"""The header reader against the `gguf` package's own, and against files that mean no good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from deploy.demo_model import write_all, write_demo_model
from tests.support.raw_gguf import ARRAY, STRING, U8, U32, array, entry, head, tensor, text
from tests.support.tiny_gguf import (
    write_bert,
    write_llama,
    write_shards,
)
from workers.runner.inventory.gguf_constants import BLOCKS
from workers.runner.inventory.gguf_header import Header, read_header
from workers.runner.inventory.gguf_metadata import KEPT_ARRAY_LENGTH, KEPT_BYTES, ArrayInfo

BUILDERS: dict[str, Callable[[Path], object]] = {
    "demo": write_demo_model,
    "llama": write_llama,
    "long vocabulary": lambda path: write_llama(path, padding_tokens=3000),
    "bert": write_bert,
    "reranker": lambda path: write_bert(path, reranker=True),
}


def assert_same_as_gguf_reader(path: Path) -> Header:
    """Compares everything that the package's reader knows of the file."""
    header, reader = read_header(path), gguf.GGUFReader(path)
    fields = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert list(header.metadata) == list(fields)
    for key, field in fields.items():
        assert header.metadata[key] == expected_value(field), key
    assert header.version == reader.fields["GGUF.version"].contents()
    assert header.tensor_count == len(reader.tensors)
    assert header.parameter_count == sum(tensor.n_elements for tensor in reader.tensors)
    assert header.alignment == reader.alignment
    assert header.data_offset == reader.data_offset
    if reader.tensors:
        assert header.end == max(tensor.data_offset + tensor.n_bytes for tensor in reader.tensors)
    assert header.size_bytes == path.stat().st_size
    assert not header.truncated
    return header


def expected_value(field: gguf.ReaderField) -> Any:
    """What the header holds for a field of the package's reader."""
    if field.types[0] is not gguf.GGUFValueType.ARRAY:
        return field.contents()
    element_type, length = field.types[-1], len(field.data)
    if element_type is gguf.GGUFValueType.STRING or length > KEPT_ARRAY_LENGTH:
        return ArrayInfo(element_type.name, length)
    return tuple(field.contents())


@pytest.mark.parametrize("name", BUILDERS)
def test_reads_what_the_gguf_package_reads(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    BUILDERS[name](path)
    assert_same_as_gguf_reader(path)


def test_reads_shards(tmp_path: Path) -> None:
    headers = [assert_same_as_gguf_reader(path) for path in write_shards(tmp_path, "set")]
    assert [header.integer("split.no") for header in headers] == [0, 1, 2]
    assert sum(header.tensor_count for header in headers) == 21


def test_reads_every_type_of_value(tmp_path: Path) -> None:
    def add_all(writer: gguf.GGUFWriter) -> None:
        writer.add_uint8("u8", 255)
        writer.add_int8("i8", -128)
        writer.add_uint16("u16", 65_535)
        writer.add_int16("i16", -32_768)
        writer.add_uint32("u32", 2**32 - 1)
        writer.add_int32("i32", -(2**31))
        writer.add_float32("f32", 1e-5)
        writer.add_uint64("u64", 2**64 - 1)
        writer.add_int64("i64", -(2**63))
        writer.add_float64("f64", 1e-300)
        writer.add_bool("yes", True)
        writer.add_bool("no", False)
        writer.add_string("text", "naïve 模型 \0 end")
        writer.add_array("per layer", [2, 4, 8])
        writer.add_array("ratios", [0.5, 0.25])
        writer.add_array("flags", [True, False])
        writer.add_array("at the limit", list(range(KEPT_ARRAY_LENGTH)))
        writer.add_array("beyond the limit", list(range(KEPT_ARRAY_LENGTH + 1)))
        writer.add_array("words", ["a", "", "ccc"])
        writer.add_custom_alignment(256)

    header = assert_same_as_gguf_reader(write_llama(tmp_path / "m.gguf", customize=add_all))
    assert header.metadata["per layer"] == (2, 4, 8)
    assert header.metadata["beyond the limit"] == ArrayInfo("INT32", KEPT_ARRAY_LENGTH + 1)
    assert header.alignment == 256


def test_reads_every_type_of_tensor(tmp_path: Path) -> None:
    path = tmp_path / "tensors.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for number, (block_numbers, block_bytes) in BLOCKS.items():
        kind = gguf.GGMLQuantizationType(number)
        row_bytes = 512 // block_numbers * block_bytes
        writer.add_tensor(kind.name, np.zeros((3, row_bytes), np.uint8), raw_dtype=kind)
    write_all(writer)
    header = assert_same_as_gguf_reader(path)
    assert header.parameter_count == 3 * 512 * len(BLOCKS)


def test_a_file_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    write_all(writer)
    header = assert_same_as_gguf_reader(path)
    assert (header.tensor_count, header.parameter_count) == (0, 0)


def test_the_largest_models_are_read(tmp_path: Path) -> None:
    """As many tokens and merges as the largest vocabulary published, and twice the tensors."""
    path = tmp_path / "large.gguf"
    tokens, merges, tensors = 262_144, 514_906, 2_500
    path.write_bytes(
        head(5, tensors)
        + entry("tokens", ARRAY, array(STRING, tokens, text("token") * tokens))
        + entry("scores", ARRAY, array(U32, tokens, bytes(4 * tokens)))
        + entry("kinds", ARRAY, array(U32, tokens, bytes(4 * tokens)))
        + entry("merges", ARRAY, array(STRING, merges, text("two parts") * merges))
        + entry("template", STRING, text("t" * 50_000))
        + tensor("blk.100.ffn_gate_exps.weight", [4096, 1536, 128]) * tensors
    )
    header = read_header(path)
    assert header.metadata["merges"] == ArrayInfo("STRING", merges)
    assert header.text("template") == "t" * 50_000
    assert header.tensor_count == tensors


def test_texts_are_kept_up_to_a_budget(tmp_path: Path) -> None:
    path = tmp_path / "texts.gguf"
    path.write_bytes(
        head(4)
        + entry("template", STRING, text("x" * 100_000))
        + entry("novel", STRING, text("y" * KEPT_BYTES))
        + entry("story", STRING, text("z" * (KEPT_BYTES - 100_000)))
        + entry("after", U8, b"\7")
    )
    metadata = read_header(path).metadata
    assert metadata["template"] == "x" * 100_000
    assert metadata["novel"] == ArrayInfo("UINT8", KEPT_BYTES)
    assert metadata["story"] == "z" * (KEPT_BYTES - 100_000)
    assert metadata["after"] == 7


def test_texts_that_are_not_utf8_are_read_with_replacements(tmp_path: Path) -> None:
    path = tmp_path / "latin1.gguf"
    path.write_bytes(head(1) + entry("author", STRING, text(b"Andr\xe9")))
    assert read_header(path).metadata == {"author": "Andr\ufffd"}


def test_a_tensor_of_an_unknown_type_has_numbers_but_no_end(tmp_path: Path) -> None:
    path = tmp_path / "new.gguf"
    path.write_bytes(head(0, 2) + tensor("known", [8]) + tensor("new", [16], 999, 32) + bytes(128))
    header = read_header(path)
    assert header.parameter_count == 24
    assert header.end == header.data_offset + 32
    assert not header.truncated
