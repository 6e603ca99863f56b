"""Print a JSON Web Token for the laptop stack, and nothing else: `make token ORG=1`."""

import os
import sys
from datetime import UTC, datetime, timedelta

from local.laptop import Laptop, Refused, laptop

LIFETIME = timedelta(days=7)


def token(where: Laptop, organization: str, subject: str = "laptop") -> str:
    """A token of an organization that this laptop's stack accepts."""
    import jwt

    claims = {"organizationId": organization, "sub": subject, "exp": datetime.now(UTC) + LIFETIME}
    return jwt.encode(claims, where.secret("jwt"), "HS256")


if __name__ == "__main__":
    try:
        print(token(laptop(), os.environ.get("ORG") or "1"))
    except Refused as why:
        sys.exit(str(why))
