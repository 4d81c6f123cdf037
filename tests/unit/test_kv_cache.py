from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.runner.inventory.gguf_header import Header
from workers.runner.inventory.gguf_metadata import MetadataValue
from workers.runner.inventory.kv_cache import kv_elements_per_token

LLAMA: dict[str, MetadataValue] = {
    "block_count": 32,
    "embedding_length": 4096,
    "attention.head_count": 32,
    "attention.head_count_kv": 8,
}


def elements(metadata: dict[str, MetadataValue]) -> int | None:
    named = {f"x.{key}": value for key, value in metadata.items()}
    header = Header(
        version=3,
        metadata=named,
        tensor_count=0,
        parameter_count=0,
        alignment=32,
        data_offset=0,
        end=0,
        size_bytes=0,
    )
    return kv_elements_per_token(header, "x")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        # 8 heads of 128 numbers, for keys and for values, in 32 layers.
        ({}, 32 * 8 * (128 + 128)),
        ({"attention.key_length": 192}, 32 * 8 * (192 + 128)),
        ({"attention.head_count_kv": (8, 0, 4) + (0,) * 29}, 12 * (128 + 128)),
        ({"attention.kv_lora_rank": 512, "rope.dimension_count": 64}, 32 * (512 + 64)),
        ({"attention.sliding_window": 4096}, None),
        ({"ssm.state_size": 16}, None),
        ({"block_count": 0}, None),
        ({"block_count": 2**63}, None),
        ({"block_count": -1}, None),
        ({"attention.head_count": 0, "attention.head_count_kv": 0}, None),
    ],
)
def test_a_token_takes_what_the_header_says(
    more: dict[str, MetadataValue], expected: int | None
) -> None:
    assert elements(LLAMA | more) == expected


def test_without_a_number_of_its_own_every_head_has_keys() -> None:
    heads = {key: value for key, value in LLAMA.items() if not key.endswith("_kv")}
    assert elements(heads) == 32 * 32 * (128 + 128)


@given(
    st.dictionaries(
        st.sampled_from([*LLAMA, "attention.key_length", "attention.kv_lora_rank"]),
        st.one_of(st.integers(), st.text(), st.booleans(), st.tuples(st.integers(), st.floats())),
    )
)
def test_whatever_a_header_says_the_figure_fits_the_wire(
    metadata: dict[str, MetadataValue],
) -> None:
    found = elements(metadata)
    assert found is None or 0 < found < 2**63
