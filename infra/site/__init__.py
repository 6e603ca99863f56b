"""The page that shows the API at `/docs`: which files it has, and how they come to a deployment's console bucket."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.package import BUILD, ROOT, Say, alone, run

SOURCES = ROOT / "infra" / "site"
VIEWER = "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy, as the template has it, too. The viewer styles some elements one by one."""

KEPT_SECONDS = 300
"""How long browsers and CloudFront keep a file: it is the next deployment's that soon."""


@dataclass(frozen=True)
class File:
    """A file of the page."""

    source: Path
    content_type: str


def files(home: Path = BUILD, say: Say = print) -> dict[str, File]:
    """The page's files by their paths below the origin; the viewer is fetched once. Several processes may call it."""
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / "site-lock"):
        viewer = _viewer(home, say)
    return {
        "docs": File(SOURCES / "docs.html", "text/html; charset=utf-8"),
        "docs/start.js": File(SOURCES / "start.js", "text/javascript; charset=utf-8"),
        "docs/viewer.js": File(viewer / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        "docs/viewer.css": File(viewer / "swagger-ui.css", "text/css; charset=utf-8"),
        "docs/LICENSE": File(viewer / "LICENSE", "text/plain; charset=utf-8"),
    }


def _viewer(home: Path, say: Say) -> Path:
    wanted = (SOURCES / "requirements.txt").read_text()
    [viewer] = re.findall(r"^\w.*$", wanted, re.MULTILINE)
    kept = home / f"viewer-{viewer.partition('==')[2]}"
    if not kept.exists():
        say("packaging: fetching the viewer of the API's page (once per version) ...")
        partial = home / "partial-viewer"
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"]
        run([*command, "--no-deps", "--only-binary=:all:", f"--target={partial}", viewer], cwd=ROOT)
        (partial / VIEWER).rename(kept)
        shutil.rmtree(partial)
    return kept


def publish(session: Any, bucket: str, say: Say = print) -> None:
    """Put the page into a bucket."""
    s3 = session.client("s3")
    for path, file in files(say=say).items():
        s3.put_object(
            Bucket=bucket,
            Key=path,
            Body=file.source.read_bytes(),
            ContentType=file.content_type,
            CacheControl=f"max-age={KEPT_SECONDS}",
        )
