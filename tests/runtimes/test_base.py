"""The defaults of a runtime's class, and the facts that the parent reads without its library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests import plugin
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import Program, Provider, Runtime, RuntimeFacts, Session
from toolkit.tensors import Feed


class Small(Runtime):
    """A runtime that says no more than it must."""

    name = "small"
    licence = "MIT"
    module = "numpy"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        raise NotImplementedError


class Converting(Small):
    """One that makes a form of its own."""

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        raise NotImplementedError


class Named(Small):
    """One that gives its providers by their names, as plug-ins did before there were facts."""

    providers = ("cpu", "cuda", "abacus")


def test_a_small_class_has_all_that_the_contract_asks_for() -> None:
    runtime = Small()

    assert runtime.version() == np.__version__
    assert runtime.library() == Path(np.__file__)
    assert base.provider_names(Small) == ["cpu"]
    assert base.settings(Small, {}) == {}
    assert (runtime.precision({}), dict(runtime.environment_for({}))) == ("float32", {})


def test_a_library_that_does_not_say_its_version_has_that_of_its_package() -> None:
    class Silent(Small):
        module = "tests"
        distributions = ("no-such-package", "numpy")

    class Unknown(Small):
        module = "tests"

    assert Silent().version() == np.__version__
    assert Unknown().version() == ""


def test_a_runtime_converts_where_it_has_the_method() -> None:
    assert (Small().converts({}), Converting().converts({})) == (False, True)


def test_a_class_that_derives_from_nothing_gets_the_defaults() -> None:
    class Old:
        name = "old"

        def converts(self, options: Mapping[str, str]) -> bool:
            return True

    runtime = base.completed(Old)()

    assert (runtime.name, runtime.warm_calls) == ("old", 0)
    assert runtime.converts({})
    assert base.completed(Small) is Small


def test_a_name_alone_stands_for_a_well_known_provider() -> None:
    assert base.providers(Named) == (base.CPU, base.CUDA, Provider("abacus"))


@pytest.mark.parametrize("name", listing.BUILT_IN)
def test_a_built_in_runtime_says_what_it_is_without_its_library(name: str) -> None:
    runtime = listing.facts(listing.find(name))

    assert runtime is not None
    assert issubclass_of_facts(runtime)
    assert runtime.name == name
    assert all(option.help for option in runtime.options.values())
    for variant in runtime.variants:
        assert base.settings(runtime, variant) != {} or not variant


def issubclass_of_facts(runtime: type[RuntimeFacts]) -> bool:
    return RuntimeFacts in runtime.__mro__


@pytest.mark.parametrize(
    ("runtime", "name", "provider"),
    [
        ("fake", "cpu", base.CPU),
        ("onnxruntime-web", "", base.WASM),
        ("torch", "cuda", base.CUDA),
        ("fake", "tpu", Provider("tpu")),
    ],
    ids=["its own", "its default", "an accelerator", "one that it lacks"],
)
def test_the_facts_of_a_provider_are_read_by_its_name(
    runtime: str, name: str, provider: Provider
) -> None:
    assert listing.provider(listing.find(runtime), name) == provider


def test_the_cause_that_a_library_hides_is_known_of_its_own_provider_alone() -> None:
    """torch says itself what its CUDA lacks."""
    explained = {
        name: listing.provider(listing.find(name), "cuda").explained_by_doctor
        for name in ("onnxruntime", "torch")
    }

    assert explained == {"onnxruntime": True, "torch": False}


def test_the_providers_of_a_plug_in_are_known_by_their_names(tmp_path: Path) -> None:
    elsewhere = plugin.package(tmp_path, "class Theirs(Fake): ...")

    assert listing.provider(elsewhere, "webgpu") == base.WEBGPU
    assert listing.provider(elsewhere, "") == base.CPU
