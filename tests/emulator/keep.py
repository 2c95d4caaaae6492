"""Keeps what settings of the deployed functions refer to, and makes the table of an application's events; tells its stream."""

import json
import sys

import boto3

STACK, ROUTES, SIGNING = sys.argv[1:]


def main():
    parameters = boto3.client("ssm")
    parameters.put_parameter(Name=f"/{STACK}/routes", Value=ROUTES, Type="String")
    # As an editor leaves it.
    parameters.put_parameter(Name=f"/{STACK}/signing", Value=f"{SIGNING}\n", Type="SecureString")
    boto3.client("secretsmanager").create_secret(Name=f"{STACK}/slack", SecretString=json.dumps({"token": "xoxb-test"}))
    keys = [{"AttributeName": "key", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}]
    table = boto3.client("dynamodb").create_table(
        TableName=f"{STACK}-outbox",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys],
        KeySchema=keys,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    print(table["TableDescription"]["LatestStreamArn"])


main()
