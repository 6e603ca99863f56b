"""The packaged template in MiniStack's dialect: the few places where MiniStack 1.5 is not AWS, and nothing else.

- A laptop speaks plain HTTP: the bucket's TLS-only policy goes. The front stands for CloudFront.
- AWS::ApiGatewayV2::Deployment is unknown; WebSocket stages deploy themselves.
- Gateway responses are read from resources of their own, not from the API's definition; binary types from a property.
- A Number parameter reaches the queue poller as text, which it cannot compare.
- SendMessageBatch wants an IAM action of its own; on AWS sqs:SendMessage covers it.
- Its permissions know nothing of the keys of a bucket that are listed.
- It knows no alarm on a calculation.
- A stream filter's `exists: false` does not look below an attribute that is absent.
"""

from collections.abc import Mapping
from typing import Any

UNKNOWN = {
    *("AWS::ApiGatewayV2::Deployment", "AWS::S3::BucketPolicy"),
    *("AWS::CloudFront::Distribution", "AWS::CloudFront::Function", "AWS::CloudFront::OriginAccessControl"),
    "AWS::CloudFront::ResponseHeadersPolicy",
}


def translate(given: Mapping[str, str], template: dict[str, Any]) -> dict[str, Any]:
    """The template for a stack with the `given` parameters."""
    resources = {
        name: each
        for name, each in template["Resources"].items()
        if each["Type"] not in UNKNOWN and "Metrics" not in each.get("Properties", {})
    }
    for kind, properties in [(each["Type"], each["Properties"]) for each in resources.values()]:
        match kind:
            case "AWS::ApiGatewayV2::Stage":
                properties.pop("DeploymentId", None)
                properties["AutoDeploy"] = True
            case "AWS::Serverless::Api":
                resources |= _gateway_responses(properties.pop("GatewayResponses"))
                properties["BinaryMediaTypes"] = properties["DefinitionBody"]["x-amazon-apigateway-binary-media-types"]
            case "AWS::IAM::Role":
                _allow(properties)
            case "AWS::Serverless::Function":
                for event in properties.get("Events", {}).values():
                    _trigger(event["Properties"], given)
    outputs = {name: each for name, each in template["Outputs"].items() if name != "SiteUrl"}
    return template | {"Resources": resources, "Outputs": outputs}


def _gateway_responses(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """As resources whose names sort before the deployment's: that is the order MiniStack makes them in."""
    return {
        f"GatewayResponse{kind.title().replace('_', '')}": {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {
                "RestApiId": {"Ref": "RestAPI"},
                "ResponseType": kind,
                "StatusCode": str(response["StatusCode"]),
                "ResponseTemplates": response["ResponseTemplates"],
                "ResponseParameters": {
                    f"gatewayresponse.header.{name}": value
                    for name, value in response["ResponseParameters"]["Headers"].items()
                },
            },
        }
        for kind, response in wanted.items()
    }


def _allow(role: Mapping[str, Any]) -> None:
    for policy in role.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            if "sqs:SendMessage" in statement["Action"]:
                statement["Action"].append("sqs:SendMessageBatch")
            if statement["Action"] == "s3:ListBucket":
                statement.pop("Condition", None)


def _trigger(properties: dict[str, Any], given: Mapping[str, str]) -> None:
    if "ScalingConfig" in properties:
        properties["ScalingConfig"] = {"MaximumConcurrency": int(given["DialerMaxConcurrency"])}
    for each in properties.get("FilterCriteria", {}).get("Filters", []):
        each["Pattern"] = each["Pattern"].replace('{"S":[{"exists":false}]}', '[{"exists":false}]')
