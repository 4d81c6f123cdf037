"""Which projector goes with which model."""

from __future__ import annotations

import pytest

from workers.runner.inventory.projectors import is_projector, projector_of


@pytest.mark.parametrize(
    "name", ["mmproj.gguf", "d/mmproj-F16.gguf", "MMPROJ-f16.gguf", "qwen-vl.mmproj-f16.gguf"]
)
def test_projectors_have_it_in_their_name(name: str) -> None:
    assert is_projector(name)


def test_a_directory_called_so_holds_models() -> None:
    assert not is_projector("mmproj/model.gguf")


def test_a_nameless_one_belongs_to_all_neighbours() -> None:
    for model in ("a-Q4_K_M", "b"):
        assert projector_of(model, ["mmproj-model-f16.gguf"], ["a-Q4_K_M", "b"]) is not None


def test_a_named_one_belongs_to_the_models_it_names() -> None:
    neighbours = ["Qwen2-VL-7B-Q4_K_M", "Qwen2-VL-7B-Q8_0", "Llama-3-8B-Q4_K_M"]
    projectors = ["mmproj-Qwen2-VL-7B-f16.gguf"]
    owners = [name for name in neighbours if projector_of(name, projectors, neighbours)]
    assert owners == neighbours[:2]


def test_a_name_that_fits_none_says_nothing() -> None:
    assert projector_of("a", ["mmproj-vit-l.gguf"], ["a", "b"]) == "mmproj-vit-l.gguf"


def test_the_closest_name_wins_then_the_precision() -> None:
    neighbours = ["gemma-3-4b-it-Q4_K_M", "gemma-3-12b-it-Q4_K_M"]
    projectors = [
        "mmproj-F16.gguf",
        "mmproj-gemma-3-12b-it-f32.gguf",
        "mmproj-gemma-3-12b-it-f16.gguf",
        "mmproj-gemma-3-4b-it-bf16.gguf",
    ]
    assert projector_of(neighbours[0], projectors, neighbours) == projectors[3]
    assert projector_of(neighbours[1], projectors, neighbours) == projectors[2]
    assert projector_of("other", projectors, [*neighbours, "other"]) == projectors[0]


def test_f16_is_preferred() -> None:
    projectors = ["mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf", "mmproj-Q8_0.gguf"]
    assert projector_of("m", projectors, ["m"]) == "mmproj-F16.gguf"
    assert projector_of("m", [], ["m"]) is None
