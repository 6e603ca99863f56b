"""Activity, a row each, kept for a year. Nobody changes one: only what was refused after all is taken back."""

from __future__ import annotations

from datetime import timedelta

from pynamodb.attributes import TTLAttribute, UnicodeAttribute

from chalicelib import clock
from chalicelib.activity.model import Activity, ActivityFilter
from chalicelib.aws.dynamodb import Page, Paging, Row, patiently, table

KEPT = timedelta(days=366)

LOOKED_AT = 1_000
"""Rows that one page of a filtered list looks at: some 40 read units. It may have fewer than it could, and a cursor."""


class ActivityRow(Row, keeps=Activity):
    class Meta:
        table_name = table("activity_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    activity_id = UnicodeAttribute(range_key=True, attr_name="activityId")
    expires_at = TTLAttribute(attr_name="expiresAt")


def keep(organization_id: str, activity: Activity) -> None:
    """Keep an activity; doing so again changes nothing."""
    expires_at = clock.moment(activity.at) + KEPT
    row = ActivityRow.of(activity, organization_id=organization_id, expires_at=expires_at)
    patiently(row.save)


def take_back(organization_id: str, activity: Activity) -> None:
    """Forget an activity that was not to be."""
    patiently(ActivityRow(organization_id, activity.activity_id).delete)


def page(organization_id: str, wanted: ActivityFilter, paging: Paging) -> Page:
    """A page of an organization's activity, newest first."""
    filters = [
        attribute == value
        for attribute, value in ((ActivityRow.actor, wanted.actor), (ActivityRow.action, wanted.action))
        if value is not None
    ]
    matches = filters[0] if filters else None
    for each in filters[1:]:
        matches &= each
    found = ActivityRow.query(
        organization_id,
        ActivityRow.activity_id < paging.cursor if paging.cursor else None,
        filter_condition=matches,
        scan_index_forward=False,
        page_size=LOOKED_AT if filters else paging.limit,
    )
    looked_at = next(found.page_iter)
    rows = [ActivityRow.from_raw_data(each).value(Activity) for each in looked_at["Items"]]
    shown, last = rows[: paging.limit], looked_at.get("LastEvaluatedKey")
    if len(rows) > paging.limit:
        return Page(shown, shown[-1].activity_id)
    return Page(shown, last["activityId"]["S"] if last else None)
