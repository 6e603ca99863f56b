"""What the compiled libraries of an archive need of the machine that loads them, as they say themselves."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

MAGIC = b"\x7fELF"


def unloadable(archive: Path, machine: str, glibc: tuple[int, int]) -> list[str]:
    """Each library of a zip file that Linux on this machine, with this glibc, could not load, and why: a line each."""
    with zipfile.ZipFile(archive) as zipped:
        return [
            f"{name} {why}"
            for name in zipped.namelist()
            if (content := zipped.read(name)).startswith(MAGIC)
            for why in _obstacles(ELFFile(io.BytesIO(content)), machine, glibc)
        ]


def _obstacles(library: ELFFile, machine: str, glibc: tuple[int, int]) -> Iterator[str]:
    if library["e_machine"] != f"EM_{machine.upper()}":
        yield f"is built for {library['e_machine'].removeprefix('EM_').lower()}"
    if lacking := [version for version in _needs(library) if not _has(glibc, version)]:
        yield f"needs {', '.join(lacking)}"


def _needs(library: ELFFile) -> Iterator[str]:
    """The versions of glibc's interface that a library was linked against."""
    for section in library.iter_sections(type="SHT_GNU_verneed"):
        if isinstance(section, GNUVerNeedSection):
            for _, versions in section.iter_versions():
                yield from (each.name for each in versions if each.name.startswith("GLIBC_"))


def _has(glibc: tuple[int, int], version: str) -> bool:
    """False also of what has no number: glibc's private interface, and marks of its later releases."""
    number = re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", version)
    return number is not None and tuple(map(int, number[1].split("."))) <= glibc
