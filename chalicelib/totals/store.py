"""How many contacts, campaigns and imports an organization has: counters that change in the transaction of the row.

They are spread over sixteen rows, so that an import's chunks do not queue for one; a total sums them (one read unit).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from enum import StrEnum

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.aws.dynamodb import Row, Transaction, table

SHARDS = 16


class Kind(StrEnum):
    """What is counted, each by status."""

    CONTACTS = "contacts"
    CAMPAIGNS = "campaigns"
    IMPORTS = "imports"


class CounterRow(Row):
    class Meta:
        table_name = table("counters_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    shard = NumberAttribute(range_key=True)
    contacts_active = NumberAttribute(null=True)
    contacts_inactive = NumberAttribute(null=True)
    contacts_completed = NumberAttribute(null=True)
    contacts_do_not_call = NumberAttribute(null=True)
    campaigns_pending = NumberAttribute(null=True)
    campaigns_running = NumberAttribute(null=True)
    campaigns_paused = NumberAttribute(null=True)
    campaigns_completed = NumberAttribute(null=True)
    campaigns_failed = NumberAttribute(null=True)
    imports_all = NumberAttribute(null=True)


def count(
    transaction: Transaction, kind: Kind, organization_id: str, shard_by: str, changes: Mapping[str, int]
) -> None:
    """Add changes of counters, status → difference, to a transaction. `shard_by` is an id that spreads the writes."""
    actions = [getattr(CounterRow, _name(kind, status)).add(change) for status, change in changes.items() if change]
    if actions:
        transaction.update(CounterRow(organization_id, zlib.crc32(shard_by.encode()) % SHARDS), actions)


def total(kind: Kind, organization_id: str, status: str | None = None) -> int:
    """How many there are, exactly; of one status or of all."""
    names = [_name(kind, status)] if status else [n for n in CounterRow.get_attributes() if n.startswith(f"{kind}_")]
    shards = CounterRow._get_connection().query(organization_id, consistent_read=True)["Items"]
    return sum(int(shard[name]["N"]) for shard in shards for name in names if name in shard)


def _name(kind: Kind, status: str) -> str:
    return f"{kind}_{status.lower()}"
