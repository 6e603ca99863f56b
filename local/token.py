"""Print a JSON Web Token for the laptop stack, and nothing else: `make token ORG=1`."""

import os
import sys
from datetime import UTC, datetime, timedelta

from local.laptop import Laptop, Refused, laptop

LIFETIME = timedelta(days=7)


def token(where: Laptop, organization: str, subject: str = "laptop") -> str:
    """A token of an organization that this laptop's stack accepts, with its settings `JWT_*` as in the environment."""
    import jwt

    own = {
        os.environ.get("JWT_ORGANIZATION_CLAIM") or "organizationId": organization,
        os.environ.get("JWT_ROLE_CLAIM") or "role": os.environ.get("ROLE") or "manager",
        "aud": os.environ.get("JWT_AUDIENCE", "").partition(",")[0].strip(),
        "iss": os.environ.get("JWT_ISSUER"),
    }
    claims = {"sub": subject, "exp": datetime.now(UTC) + LIFETIME, **{name: each for name, each in own.items() if each}}
    return jwt.encode(claims, where.secret("jwt"), "HS256")


if __name__ == "__main__":
    try:
        print(token(laptop(), os.environ.get("ORG") or "1"))
    except Refused as why:
        sys.exit(str(why))
