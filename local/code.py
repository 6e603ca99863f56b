"""The functions' code on a laptop: unpacked once.

MiniStack unpacks a function's archive anew for each of its workers, some 60 MB and 3,000 files each time. Here the
package lies unpacked beside the stack's state, and the archive that MiniStack gets only leads there.
"""

import zipfile
import zlib
from pathlib import Path

from infra.package import BUILD, Package, Say, package
from infra.runtime import Runtime

BUILT = BUILD / "laptop"
"""Where the laptop's package is built: an archive for AWS may be for another architecture."""

SIGN = '''"""Leads to the functions' code, which is unpacked once for all workers."""

import sys

sys.path.insert(0, {code!r})
del sys.modules["app"]
import app
'''
"""The `app.py` MiniStack gets; a module that replaces itself is what the importer gets."""


def unpacked(machine: Runtime, home: Path, say: Say) -> Package:
    """The package for this machine with its code at `home`/code, and in its archive the way there."""
    built = package(machine, BUILT, say)
    code = home / "code"
    _unpack(built.archive, code)
    archive = home / "code.zip"
    with zipfile.ZipFile(archive, "w") as signpost:
        signpost.writestr(zipfile.ZipInfo("app.py"), SIGN.format(code=str(code)))
    return Package(built.template, archive)


def _unpack(archive: Path, code: Path) -> None:
    """Make a directory hold what an archive holds and no more, writing only what differs."""
    with zipfile.ZipFile(archive) as zipped:
        wanted = {code / each.filename: each for each in zipped.infolist() if not each.is_dir()}
        for file in [file for file in code.rglob("*") if file.is_file() and file not in wanted]:
            file.unlink()
        for file, each in wanted.items():
            if not file.exists() or zlib.crc32(file.read_bytes()) != each.CRC:
                zipped.extract(each, code)
