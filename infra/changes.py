"""What an update in place would lose, or be refused for: said of two templates, before anything is asked of AWS.

`python -m infra.changes` keeps what holds rows in the packaged template as `infra/released.json`: the template that the
next one must be able to follow. Do that when a version is released.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from infra.package import BUILD, ROOT

Template = Mapping[str, Any]
Resource = Mapping[str, Any]

RELEASED = ROOT / "infra" / "released.json"

FIXED = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema", "LocalSecondaryIndexes"),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::SQS::Queue": ("QueueName", "FifoQueue"),
}
"""Properties that CloudFormation changes by making another resource, of those that hold something."""

ADDRESSES = ("AWS::Serverless::Api", "AWS::ApiGatewayV2::Api", "AWS::CloudFront::Distribution")
"""What clients and agents know by an address that another one would not have."""

INDEX = ("KeySchema", "Projection")


def dangers(old: Template, new: Template) -> list[str]:
    """Why the resources of one template must not become those of another in one update; nothing where they may."""
    return [
        f"{name}: {fault}"
        for name, resource in old["Resources"].items()
        for fault in _faults(resource, new["Resources"].get(name))
    ]


def _faults(old: Resource, new: Resource | None) -> Iterator[str]:
    kind, kept = old["Type"], old.get("DeletionPolicy") == "Retain"
    if new is None or new["Type"] != kind:
        if kept and kind in FIXED:
            yield "it would be left behind with what it holds: keep it, or take its rows elsewhere first"
        elif kind in ADDRESSES:
            yield "its address would be gone, which clients and agents know"
        return
    if kind not in FIXED:
        return
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if old.get(policy) == "Retain" != new.get(policy):
            yield f"its {policy} would no longer be Retain"
    before, after = old.get("Properties", {}), new.get("Properties", {})
    for each in FIXED[kind]:
        if before.get(each) != after.get(each):
            yield f"another {each} means another, empty one in its place"
    if kind == "AWS::DynamoDB::Table":
        yield from _table(before, after)


def _table(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    types, others = _types(old), _types(new)
    for attribute in sorted(_keys(old) & _keys(new)):
        if types.get(attribute) != others.get(attribute):
            yield f"the key attribute {attribute} would be of another type, which no row is"
    views = [each.get("StreamSpecification", {}).get("StreamViewType") for each in (old, new)]
    if views[0] != views[1] and None not in views:
        yield "DynamoDB changes no stream's view while there is a stream"
    indexes, made = _indexes(old), _indexes(new)
    for name in sorted(indexes.keys() & made.keys()):
        for each in INDEX:
            if indexes[name].get(each) != made[name].get(each):
                yield f"the index {name} cannot have another {each}: make one of another name, then remove this one"
    moved = sorted(indexes.keys() ^ made.keys())
    if len(moved) > 1:
        yield f"DynamoDB makes or removes one index in an update, not {', '.join(moved)}: deploy in steps"


def _types(table: Mapping[str, Any]) -> dict[str, str]:
    return {each["AttributeName"]: each["AttributeType"] for each in table.get("AttributeDefinitions", ())}


def _indexes(table: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {each["IndexName"]: each for each in table.get("GlobalSecondaryIndexes", ())}


def _keys(table: Mapping[str, Any]) -> set[str]:
    schemas = [table.get("KeySchema", ()), *(each["KeySchema"] for each in _indexes(table).values())]
    return {key["AttributeName"] for schema in schemas for key in schema}


def holding(template: Template) -> dict[str, Any]:
    """The part of a template that holds something, and what that refers to; it can be deployed by itself."""
    resources = template["Resources"]
    wanted = [name for name, each in resources.items() if each["Type"] in FIXED]
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in resources and name not in found:
            found[name] = resources[name]
            wanted += _referred(resources[name])
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": template["Parameters"],
        "Conditions": template["Conditions"],
        "Resources": {name: each for name, each in resources.items() if name in found},
    }


def _referred(value: Any) -> list[str]:
    """Names that something refers to, by Ref, Fn::GetAtt, Fn::Sub or DependsOn."""
    if isinstance(value, list):
        return [name for each in value for name in _referred(each)]
    if not isinstance(value, dict):
        return []
    found = [name for each in value.values() for name in _referred(each)]
    for form, about in value.items():
        if form in ("Ref", "DependsOn"):
            found += [about] if isinstance(about, str) else about
        elif form == "Fn::GetAtt":
            found.append(about[0] if isinstance(about, list) else about.partition(".")[0])
        elif form == "Fn::Sub":
            found += re.findall(r"\$\{(\w+)", about if isinstance(about, str) else about[0])
    return found


def main() -> None:
    """Keep the packaged template's part that holds something."""
    template = json.loads((BUILD / "template.json").read_text())
    if said := dangers(json.loads(RELEASED.read_text()), template) if RELEASED.exists() else []:
        sys.exit("\n".join(["It cannot follow what was released before:", *said]))
    RELEASED.write_text(json.dumps(holding(template), indent=1, ensure_ascii=False) + "\n")
    print(f"{RELEASED.relative_to(ROOT)}: {len(holding(template)['Resources'])} resources")


if __name__ == "__main__":
    main()
