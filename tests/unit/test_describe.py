"""The readable part of a header."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import msgspec

from tests.support.tiny_gguf import write_bert, write_llama
from workers.runner.inventory.describe import describe, file_type_name
from workers.runner.inventory.gguf_header import Header, read_header
from workers.runner.inventory.gguf_metadata import ArrayInfo, MetadataValue


def header_of(metadata: dict[str, MetadataValue]) -> Header:
    return Header(
        version=3,
        metadata=metadata,
        tensor_count=7,
        parameter_count=1_000,
        alignment=32,
        data_offset=64,
        end=128,
        size_bytes=128,
    )


def test_a_llama(tmp_path: Path) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_size_label("0.1M")
        writer.add_license("mit")

    header = read_header(write_llama(tmp_path / "m.gguf", name="Tiny", customize=add))
    groups = describe(header, 12_345)
    assert list(groups) == ["General", "Model", "Tokenizer"]
    assert groups["General"] == {
        "architecture": "llama",
        "file_type": "MOSTLY_F16",
        "size_bytes": 12_345,
        "parameter_count": header.parameter_count,
        "tensor_count": 21,
        "gguf_version": 3,
        "name": "Tiny",
        "type": "model",
        "size_label": "0.1M",
        "license": "mit",
    }
    assert groups["Model"]["context_length"] == 4096
    assert groups["Model"]["attention.head_count_kv"] == 2
    assert groups["Tokenizer"]["model"] == "llama"
    assert groups["Tokenizer"]["eos_token_id"] == 2
    assert groups["Tokenizer"]["token_count"] == groups["Model"]["vocab_size"]
    assert groups["Tokenizer"]["chat_template"].startswith("{%- for message in messages")


def test_a_bert_has_its_own_prefix(tmp_path: Path) -> None:
    groups = describe(read_header(write_bert(tmp_path / "m.gguf")), 1)
    assert groups["Model"]["context_length"] == 512
    assert groups["Model"]["attention.causal"] is False
    assert groups["Model"]["pooling_type"] == gguf.PoolingType.MEAN
    assert "chat_template" not in groups["Tokenizer"]


def test_values_are_plain_json() -> None:
    header = header_of(
        {
            "general.architecture": "x",
            "general.name": "\ufffd\0",
            "general.file_type": 15,
            "x.attention.head_count_kv": (8, 8, 4),
            "x.rope.freq_base": 9.999999747378752e-06,
            "x.rope.scaling.factor": float("nan"),
            "x.expert_count": ArrayInfo("INT32", 5000),
            "y.block_count": 3,
            "tokenizer.ggml.tokens": ArrayInfo("STRING", 150_000),
        }
    )
    groups = describe(header, 1)
    assert groups["General"]["file_type"] == "MOSTLY_Q4_K_M"
    assert groups["Model"] == {
        "attention.head_count_kv": [8, 8, 4],
        "rope.freq_base": 1e-05,
        "rope.scaling.factor": "nan",
        "expert_count": "5,000 x INT32",
    }
    assert groups["Tokenizer"] == {"token_count": 150_000}
    assert json.loads(json.dumps(groups, allow_nan=False)) == groups
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(groups)) == groups


def test_a_file_that_says_nothing() -> None:
    assert describe(header_of({}), 5) == {
        "General": {
            "size_bytes": 5,
            "parameter_count": 1_000,
            "tensor_count": 7,
            "gguf_version": 3,
        },
        "Model": {},
        "Tokenizer": {},
    }


def test_file_types() -> None:
    assert file_type_name(header_of({"general.file_type": 0})) == "ALL_F32"
    assert file_type_name(header_of({"general.file_type": 9999})) == "UNKNOWN_9999"
    assert file_type_name(header_of({"general.file_type": "odd"})) is None
    assert file_type_name(header_of({})) is None
