"""Print what an agent of one's own needs to know, as shell assignments: `make secrets`, `eval "$(make -s secrets)"`."""

import shlex
import sys

from local.laptop import Refused, laptop

if __name__ == "__main__":
    try:
        for name, value in laptop().secrets().items():
            print(f"{name}={shlex.quote(value)}")
    except Refused as why:
        sys.exit(f"make secrets: {why}")
