"""Build the deployment: `build/deployment.zip` (every function's code) and `build/template.json` (one SAM template).

`python -m infra.package` or `make package`. Nothing is built again whose inputs have not changed. What is built is for
one runtime: its Python is the one that builds, since bytecode is in it.
"""

import compileall
import fcntl
import hashlib
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.libraries import unloadable
from infra.runtime import NoRuntime, Runtime, cloud

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
THIRD_PARTY = ["requirements.txt", "infra/package.py", "infra/runtime.py"]
INPUTS = ["app.py", "chalicelib", ".chalice/config.json", "infra/resources.yaml", *THIRD_PARTY]

LIMIT_MB = 15
"""Largest package; a cold start downloads and unpacks it."""

NOT_NEEDED = {
    # Chalice's command line; `chalice package` adds the runtime itself
    *("blessed", "chalice", "click", "editor", "inquirer", "jinxed", "packaging", "pyyaml", "readchar", "runs"),
    *("setuptools", "wcwidth", "wheel", "xmod"),
    # headers for building against; cryptography brings its compiled part
    "pycparser",
}
"""Distributions of requirements.txt that no function imports."""

SERVICES = {"apigatewaymanagementapi", "dynamodb", "s3", "sqs", "ssm", "sts"}
"""AWS services whose descriptions stay in botocore's data."""

PRUNED = [
    "*.dist-info/**/*",
    "bin/**/*",
    "boto3/examples/**/*",
    "olefile/olefile2.py",  # for Python 2
    "phonenumbers/geodata/**/*",
    "phonenumbers/carrierdata/**/*",
    "**/tests/**/*",
    "**/*.pyi",
    "**/*.rst",
    "**/py.typed",
]

SELDOM_IMPORTED = re.compile(
    r"/openpyxl/|/tzdata/|/phonenumbers/data/|/aws_lambda_powertools/(event_handler|utilities/(?!param))"
)
"""What is shipped without bytecode. The rest has it: Lambda cannot write any, and imports take twice the time."""

UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH

Say = Callable[[str], None]


@dataclass(frozen=True)
class Package:
    """A built deployment."""

    template: Path
    archive: Path

    @property
    def size_mb(self) -> float:
        """Of the archive, in megabytes of 10⁶ bytes."""
        return self.archive.stat().st_size / 1e6


def package(runtime: Runtime, home: Path = BUILD, say: Say = print) -> Package:
    """The package of the working tree in a directory, built if it is not there yet for this runtime.

    Safe to be called by several processes at once.
    """
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / "lock"):
        built = Package(home / "template.json", home / "deployment.zip")
        stamp = home / "stamp"
        wanted = fingerprint(INPUTS, runtime)
        if not (stamp.exists() and stamp.read_text() == wanted and built.template.exists() and built.archive.exists()):
            stamp.unlink(missing_ok=True)
            _assemble(built, _vendor(home, runtime, say), runtime, wanted, say)
            stamp.write_text(wanted)
        return built


def fingerprint(paths: Iterable[str], runtime: Runtime) -> str:
    """A hash over a runtime and the contents of files, and of all files in directories, below the project's root."""
    digest = hashlib.sha256(repr(runtime).encode())
    for path in (ROOT / each for each in paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _vendor(home: Path, runtime: Runtime, say: Say) -> Path:
    """The directory of a runtime's third-party packages, pruned; kept until requirements.txt or the runtime changes."""
    vendor = home / f"vendor-{fingerprint(THIRD_PARTY, runtime)[:12]}"
    if not vendor.exists():
        for old in home.glob("vendor-*"):
            shutil.rmtree(old)
        say("packaging: fetching what the functions import (once per change of requirements.txt) ...")
        partial = home / "partial-vendor"
        shutil.rmtree(partial, ignore_errors=True)
        _install(partial, runtime)
        _prune(partial)
        _compile(partial, skip=SELDOM_IMPORTED)
        _compile_chalice(partial / "chalice" / "__pycache__")
        partial.rename(vendor)
    return vendor


def _install(target: Path, runtime: Runtime) -> None:
    wanted = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line and re.split(r"[=\[]", line)[0] not in NOT_NEEDED
    ]
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--only-binary=:all:", *runtime.wheels(), f"--target={target}"]
    run([*command, *wanted], cwd=ROOT)


def _prune(vendor: Path) -> None:
    data = vendor / "botocore" / "data"
    unused = [entry for entry in data.iterdir() if entry.is_dir() and entry.name not in SERVICES]
    for directory in [*unused, vendor / "cffi"]:
        shutil.rmtree(directory, ignore_errors=True)
    for pattern in PRUNED:
        for file in vendor.glob(pattern):
            if file.is_file():
                file.unlink()
    for root, names, files in os.walk(vendor, topdown=False):
        if not names and not files:
            Path(root).rmdir()


def _compile(directory: Path, skip: re.Pattern[str] | None = None) -> None:
    """Add bytecode that is used whatever the sources' times, which a zip file does not keep exactly."""
    compileall.compile_dir(directory, quiet=1, rx=skip, invalidation_mode=UNCHECKED, stripdir=str(directory.parent))


def _compile_chalice(cache: Path) -> None:
    """Bytecode of the two modules that `chalice package` adds."""
    import chalice.app

    for name, module in {"__init__": chalice, "app": chalice.app}.items():
        target = cache / f"{name}.{sys.implementation.cache_tag}.pyc"
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(
            str(module.__file__), str(target), f"chalice/{name}.py", doraise=True, invalidation_mode=mode
        )


def _assemble(built: Package, vendor: Path, runtime: Runtime, version: str, say: Say) -> None:
    """Let Chalice package a copy of the project whose dependencies are already there."""
    say("packaging: zipping the functions and merging the template ...")
    stage = _stage(built.archive.with_name("stage"), vendor, runtime)
    chalice = [str(Path(sys.executable).with_name("chalice")), "--project-dir", str(stage), "package", "--stage", "api"]
    run([*chalice, "--merge-template", str(ROOT / "infra" / "resources.yaml"), str(stage / "out")], cwd=stage)
    check_libraries(stage / "out" / "deployment.zip", runtime)
    (stage / "out" / "deployment.zip").replace(built.archive)
    if built.size_mb > LIMIT_MB:
        sys.exit(f"The package is {built.size_mb:.1f} MB; at most {LIMIT_MB} are wanted.")
    template: dict[str, Any] = yaml.safe_load((stage / "out" / "sam.yaml").read_text())
    template["Parameters"]["Version"]["Default"] = version[:12]
    built.template.write_text(json.dumps(template, indent=1, ensure_ascii=False))
    shutil.rmtree(stage)
    say(f"packaging: {built.archive.relative_to(ROOT)} has {built.size_mb:.1f} MB")


def _stage(stage: Path, vendor: Path, runtime: Runtime) -> Path:
    """The project as Chalice wants it: the functions' own code, beside it what they import."""
    shutil.rmtree(stage, ignore_errors=True)
    (stage / ".chalice").mkdir(parents=True)
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    config["lambda_architecture"] = runtime.architecture
    (stage / ".chalice" / "config.json").write_text(json.dumps(config))
    shutil.copy(ROOT / "app.py", stage)
    shutil.copytree(ROOT / "chalicelib", stage / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    _compile(stage / "chalicelib")
    (stage / "requirements.txt").touch()
    (stage / "vendor").symlink_to(vendor)
    return stage


def check_libraries(archive: Path, runtime: Runtime) -> None:
    """End when an archive has a library that the runtime cannot load."""
    if faults := unloadable(archive, runtime.machine, runtime.glibc):
        wanted = f"{runtime.machine} with glibc {'.'.join(map(str, runtime.glibc))}"
        sys.exit(f"The functions run on {wanted}, which cannot load\n" + "\n".join(f"  {each}" for each in faults))


def run(command: list[str], cwd: Path) -> None:
    """Run quietly; end with what the command said if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},  # Chalice wants one; it does not reach the template
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"Packaging failed: {' '.join(command[:4])} …\n{done.stdout}{done.stderr}")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        made = package(cloud(os.environ))
        for file in (made.archive, made.template):
            print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1e6:.1f} MB")
    except NoRuntime as why:
        sys.exit(f"make package: {why}")
