"""What cloudsplaining finds in policies, in an environment of its own: policies by name as JSON in, risks by name out.

A risk is what somebody who gets hold of a role can do to others by it, without a limit to what it is done to.
"""

import json
import sys

from cloudsplaining.scan.policy_document import PolicyDocument


def risks(policy: dict[str, object]) -> dict[str, list[str]]:
    """The high risks of a policy."""
    document = PolicyDocument(policy)
    return {
        "privilege escalation": sorted(each["type"] for each in document.allows_privilege_escalation),
        "data exfiltration": sorted(document.allows_data_exfiltration_actions),
        "credentials": sorted(document.credentials_exposure),
        "permissions": sorted(document.permissions_management_without_constraints),
        "infrastructure": sorted(document.write_actions_without_constraints),
    }


found = {name: risks(each) for name, each in json.load(sys.stdin).items()}
json.dump({name: {kind: said for kind, said in each.items() if said} for name, each in found.items()}, sys.stdout)
