"""Which files are one model, and what it is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.runner.inventory.model_files import FoundFile, ModelGroup, group_models


def grouped(*paths: str) -> dict[str, ModelGroup]:
    groups = group_models(FoundFile(path, 1, 1) for path in paths)
    assert len({group.id for group in groups}) == len(groups)
    return {group.id: group for group in groups}


def paths_of(group: ModelGroup) -> list[str]:
    return [file.path for file in group.files]


def test_a_model_is_called_by_its_path_without_suffix() -> None:
    assert list(grouped("qwen-7b.gguf", "team/llama.v2.gguf")) == ["qwen-7b", "team/llama.v2"]


def test_shards_are_one_model_in_order() -> None:
    models = grouped(
        "big/m-00003-of-00003.gguf", "big/m-00001-of-00003.gguf", "big/m-00002-of-00003.gguf"
    )
    assert list(models) == ["big/m"]
    assert paths_of(models["big/m"]) == [f"big/m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert (models["big/m"].shard_count, models["big/m"].missing) == (3, ())


def test_missing_shards_are_named() -> None:
    model = grouped("d/m-00002-of-00007.gguf")["d/m"]
    assert (model.numbers, model.shard_count) == ((2,), 7)
    assert model.missing == (
        "m-00001-of-00007.gguf",
        "m-00003-of-00007.gguf",
        "m-00004-of-00007.gguf",
    )


def test_a_set_keeps_its_suffix_beside_a_file_of_the_same_name() -> None:
    models = grouped("m.gguf", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    assert list(models) == ["m", "m-00001-of-00002"]
    assert paths_of(models["m"]) == ["m.gguf"]


def test_of_two_sets_of_one_name_the_larger_keeps_its_suffix() -> None:
    models = grouped("m-00001-of-00003.gguf", "m-00001-of-00002.gguf")
    assert {id_: model.shard_count for id_, model in models.items()} == {
        "m": 2,
        "m-00001-of-00003": 3,
    }


def test_the_same_name_in_another_directory_changes_nothing() -> None:
    assert list(grouped("m-00001-of-00001.gguf", "d/m.gguf")) == ["d/m", "m"]


@pytest.mark.parametrize("name", ["m-00004-of-00003", "m-00000-of-00003", "m-1-of-3", "-00001-of-"])
def test_what_only_looks_like_a_shard_is_a_model_of_its_own(name: str) -> None:
    assert list(grouped(name + ".gguf")) == [name]


def test_projectors_are_no_models() -> None:
    models = grouped("v/qwen-vl.gguf", "v/mmproj-F16.gguf", "other/llama.gguf")
    assert {id_: model.mmproj for id_, model in models.items()} == {
        "other/llama": None,
        "v/qwen-vl": "v/mmproj-F16.gguf",
    }


def test_a_projector_belongs_to_sets_too() -> None:
    models = grouped("mmproj.gguf", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    assert models["m"].mmproj == "mmproj.gguf"


def paths_like(*names: str) -> st.SearchStrategy[list[str]]:
    suffixes = ["", "-00001-of-00002", "-00002-of-00002", "-00001-of-00003"]
    path = st.builds(
        "{}{}{}.gguf".format,
        st.sampled_from(["", "d/", "d/e/"]),
        st.sampled_from(names),
        st.sampled_from(suffixes),
    )
    return st.lists(path, unique=True)


@given(paths=paths_like("m", "n", "m-00001-of-00002", "mmproj-m"))
def test_every_file_is_in_one_model(paths: list[str]) -> None:
    models = grouped(*paths)
    listed = [path for model in models.values() for path in paths_of(model)]
    assert sorted(listed) == sorted(path for path in paths if "mmproj" not in path)


@given(paths=paths_like("m", "n"), others=paths_like("m2", "o", "mmproj"))
def test_ids_do_not_change_when_other_files_appear(paths: list[str], others: list[str]) -> None:
    assert grouped(*paths).keys() <= grouped(*paths, *others).keys()
