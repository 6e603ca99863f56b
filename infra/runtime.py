"""What the functions run on: AWS Lambda, or this machine in its place."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

GLIBC = {(3, 11): (2, 26), (3, 12): (2, 34), (3, 13): (2, 34), (3, 14): (2, 34)}
"""The C library below each Python that Lambda has: Amazon Linux 2, from 3.12 on Amazon Linux 2023."""

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's architectures, by the names that Linux and wheels have for them."""

DEFAULT_ARCHITECTURE = "arm64"

ENDING = {
    (3, 11): "AWS supports Python 3.11 until 30 June 2027, and takes updates of functions on it until 31 August 2027; "
    "`make deploy PYTHON=python3.13` moves them to a newer one."
}
"""Days from https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html."""


class NoRuntime(Exception):
    """AWS Lambda does not have it; the message says what it has."""


@dataclass(frozen=True)
class Runtime:
    """A Python on an architecture. Raises NoRuntime for one that Lambda does not have."""

    python: tuple[int, int]
    architecture: str

    native: bool = False
    """Whether it loads this machine's own kind of libraries where Lambda loads those of Linux."""

    def __post_init__(self) -> None:
        if self.python not in GLIBC:
            raise NoRuntime(f"AWS Lambda has Python {', '.join(map(_dotted, GLIBC))}, not {_dotted(self.python)}.")
        if self.architecture not in MACHINES:
            raise NoRuntime(f"AWS Lambda has the architectures {', '.join(MACHINES)}, not {self.architecture!r}.")

    @property
    def machine(self) -> str:
        return MACHINES[self.architecture]

    @property
    def glibc(self) -> tuple[int, int]:
        return GLIBC[self.python]

    @property
    def ending(self) -> str:
        """Until when AWS takes it, if that is near."""
        return ENDING.get(self.python, "")

    def wheels(self) -> list[str]:
        """The options of pip with which it takes what this runtime can load, and the newest of that."""
        if self.native:
            return []
        major, newest = self.glibc
        tags = [*(f"manylinux_{major}_{minor}" for minor in range(newest, 4, -1)), "manylinux2014"]
        platforms = [f"--platform={tag}_{self.machine}" for tag in tags]
        return ["--implementation=cp", f"--python-version={_dotted(self.python)}", *platforms]


def cloud(environ: Mapping[str, str]) -> Runtime:
    """Lambda with this Python, on the architecture that `ARCHITECTURE` names. Raises NoRuntime."""
    return Runtime(sys.version_info[:2], environ.get("ARCHITECTURE") or DEFAULT_ARCHITECTURE)


def laptop() -> Runtime:
    """This machine in Lambda's place: tried on Linux on x86-64, not on arm64 and not on macOS. Raises NoRuntime."""
    named = {machine: architecture for architecture, machine in MACHINES.items()}
    machine = platform.machine()
    return Runtime(sys.version_info[:2], named.get(machine, machine), native=sys.platform != "linux")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
