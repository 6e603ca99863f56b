"""What is made of organizations' accounts with providers, where their limits are set: a row per account."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from pynamodb.attributes import UnicodeAttribute
from pynamodb.expressions.condition import Condition

from chalicelib.agents import limits
from chalicelib.agents.limits import Usage
from chalicelib.aws.dynamodb import Row, Transaction, batch, put_if, still, table

LIMITS = "limits#"


class UsageRow(Row, keeps=Usage):
    class Meta:
        table_name = table("settings_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    name = UnicodeAttribute(range_key=True)


def usages(organization_id: str, providers: Iterable[str]) -> dict[str, Usage]:
    """What is made of an organization's accounts right now, by provider."""
    wanted = list(providers)
    rows = batch(UsageRow, [(organization_id, LIMITS + each) for each in wanted]) if wanted else []
    found = {row.name.removeprefix(LIMITS): row.value(Usage) for row in rows}
    return {each: found.get(each, Usage()) for each in wanted}


def move(transaction: Transaction, organization_id: str, provider: str, old: Usage, new: Usage) -> None:
    """Add to a transaction what its calls change of an account, if that is still as it was read."""
    transaction.put(_row(organization_id, provider, old, new), _unchanged(old), tag=LIMITS + provider)


def change(organization_id: str, provider: str, old: Usage, new: Usage) -> None:
    """Change what is made of an account by itself. Raises Conflict when it moved on."""
    put_if(_row(organization_id, provider, old, new), _unchanged(old))


def leave(transaction: Transaction, organization_id: str, provider: str, campaign_id: str) -> None:
    """Add to a transaction that a call of a campaign is no longer under way with an account."""
    old = usages(organization_id, [provider])[provider]
    move(transaction, organization_id, provider, old, limits.left(old, campaign_id))


def _row(organization_id: str, provider: str, old: Usage, new: Usage) -> UsageRow:
    next_one = replace(new, version=old.version + 1)
    row: UsageRow = UsageRow.of(next_one, organization_id=organization_id, name=LIMITS + provider)
    return row


def _unchanged(old: Usage) -> Condition:
    return still(UsageRow.version, old.version)
