"""What is installed is what was tried: every package and the tools that build and install, to the last digit."""

from __future__ import annotations

import re

import pytest

from infra.package import ROOT

FILES = (
    "requirements.txt",
    "requirements-dev.txt",
    "local/requirements.txt",
    "tests/sdks/requirements.txt",
    "infra/site/requirements.txt",
)
PINNED = re.compile(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*")


def pinned(file: str) -> list[str]:
    """The lines that name a package."""
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_once(file: str) -> None:
    lines = pinned(file)
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    names = [line.partition("==")[0].lower().replace("_", "-") for line in lines]
    assert len(names) == len(set(names))


def test_build_tools_are_pinned() -> None:
    names = {line.partition("==")[0] for file in FILES[:2] for line in pinned(file)}
    assert {"pip", "setuptools", "wheel", "chalice"} <= names


def test_what_is_pinned_fits_together() -> None:
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    versions = dict(line.split("==") for file in FILES[:2] for line in pinned(file))
    wanted = [Requirement(each) for each in requires("chalice") or []]
    assert [str(each) for each in wanted if not each.marker and versions[each.name] not in each.specifier] == []
