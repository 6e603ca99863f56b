"""Connections: which sockets an organization has open."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from pynamodb.attributes import TTLAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib import clock
from chalicelib.store import Row, table

LONGEST_CONNECTION = timedelta(hours=2, minutes=15)
"""API Gateway ends a connection after two hours; a row that outlives its connection by more is swept by its TTL."""


class ConnectionIndex(GlobalSecondaryIndex["ConnectionRow"]):
    class Meta:
        index_name = "connection"
        projection = KeysOnlyProjection()

    connection_id = UnicodeAttribute(hash_key=True, attr_name="connectionId")


class ConnectionRow(Row):
    class Meta:
        table_name = table("connections_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    connection_id = UnicodeAttribute(range_key=True, attr_name="connectionId")
    connected_at = UnicodeAttribute(attr_name="connectedAt")
    expires_at = TTLAttribute(attr_name="expiresAt")
    connection_index = ConnectionIndex()


class Socket(Struct, frozen=True):
    """An open socket of an organization."""

    organization_id: str
    connection_id: str
    connected_at: str


def add(organization_id: str, connection_id: str, *, now: datetime) -> None:
    """Remember a socket."""
    ConnectionRow(
        organization_id, connection_id, connected_at=clock.stamp(now), expires_at=now + LONGEST_CONNECTION
    ).save()


def of_organization(organization_id: str) -> list[Socket]:
    """An organization's sockets, those that just opened included."""
    return [row.value(Socket) for row in ConnectionRow.query(organization_id, consistent_read=True)]


def forget(socket: Socket) -> None:
    """Forget a socket that is gone."""
    ConnectionRow(socket.organization_id, socket.connection_id).delete()


def forget_connection(connection_id: str) -> None:
    """Forget a socket by its connection alone."""
    for row in ConnectionRow.query(connection_id, index_name="connection"):
        row.delete()
