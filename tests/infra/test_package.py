"""What the functions carry with them, and what they do not."""

import subprocess
import sys
import zipfile

import pytest

from infra import runtime as runtimes
from infra.libraries import unloadable
from infra.package import LIMIT_MB, Package, check_libraries
from infra.package import package as packaged
from infra.runtime import MACHINES, Runtime
from local.code import BUILT
from tests import scratch

IMPORTS = """
import sys
sys.path = [sys.argv[1], *(each for each in sys.path if "site-packages" not in each)]
import zoneinfo
import boto3, jwt, msgspec, multipart, openpyxl, phonenumbers, pynamodb.models, python_calamine, requests, uuid_utils
import app
from chalicelib import holidays
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities import parameters
from phonenumbers import timezone
zoneinfo.reset_tzpath([])
zoneinfo.ZoneInfo(timezone.time_zones_for_number(phonenumbers.parse("+998901234567"))[0])
assert holidays.is_known("UZ")
for service in ("apigatewaymanagementapi", "dynamodb", "s3", "sqs", "ssm", "sts"):
    boto3.client(service, region_name="us-east-1")
assert all(module.__file__.startswith(sys.argv[1]) for module in (app, boto3, jwt, openpyxl, phonenumbers))
"""


@pytest.fixture(scope="module")
def names(package: Package) -> list[str]:
    with zipfile.ZipFile(package.archive) as archive:
        return archive.namelist()


def test_package_is_small(package: Package) -> None:
    assert package.size_mb <= LIMIT_MB == 15


def test_package_has_what_the_functions_import() -> None:
    here = packaged(runtimes.laptop(), BUILT)
    with zipfile.ZipFile(here.archive) as archive, scratch.directory() as code:
        archive.extractall(code)
        command = [sys.executable, "-B", "-I", "-S", "-c", IMPORTS, str(code)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_file_is_there_once(names: list[str]) -> None:
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "absent",
    [
        *("phonenumbers/geodata/", "phonenumbers/carrierdata/", "pip/", "setuptools/", "wheel/", "click/", "inquirer/"),
        *("yaml/", "wcwidth/", "pycparser/", "chalice/cli/", "tests/", "local/", "infra/", "moto/", "boto3/examples/"),
    ],
)
def test_package_does_not_carry(names: list[str], absent: str) -> None:
    assert not [name for name in names if name.startswith(absent)]


def test_package_describes_the_services_used_and_no_others(names: list[str]) -> None:
    services = {name.split("/")[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    assert services == {"apigatewaymanagementapi", "dynamodb", "s3", "sqs", "ssm", "sts"}


def test_packages_leave_their_metadata_behind(names: list[str]) -> None:
    assert not [name for name in names if ".dist-info/" in name]


def test_what_a_cold_start_imports_is_compiled(names: list[str]) -> None:
    compiled = {name.rsplit(".", 2)[0] for name in names if name.endswith(".pyc")}
    for module in ("botocore/__pycache__/client", "pynamodb/__pycache__/models", "chalice/__pycache__/app"):
        assert module in compiled
    assert "chalicelib/__pycache__/settings" in compiled


def test_bytecode_is_the_runtimes(names: list[str], runtime: Runtime) -> None:
    tags = {name.rsplit(".", 2)[1] for name in names if name.endswith(".pyc")}
    assert tags == {"cpython-{}{}".format(*runtime.python)}


def test_runtime_can_load_every_library(package: Package, runtime: Runtime) -> None:
    assert unloadable(package.archive, runtime.machine, runtime.glibc) == []
    check_libraries(package.archive, runtime)


def test_library_that_needs_a_newer_glibc_is_refused(package: Package, names: list[str], runtime: Runtime) -> None:
    refused = unloadable(package.archive, runtime.machine, (2, 2))
    assert [each.split(" needs GLIBC_2.")[0] for each in refused] == [name for name in names if is_library(name)]


def test_library_of_another_architecture_is_refused(package: Package, names: list[str], runtime: Runtime) -> None:
    (other,) = MACHINES.keys() - {runtime.architecture}
    with pytest.raises(SystemExit) as refused:
        check_libraries(package.archive, Runtime(runtime.python, other))
    first, *libraries = str(refused.value).splitlines()
    assert first.startswith(f"The functions run on {MACHINES[other]} with glibc 2.")
    assert libraries == [f"  {name} is built for {runtime.machine}" for name in names if is_library(name)]


def is_library(name: str) -> bool:
    return name.endswith(".so") or ".so." in name
