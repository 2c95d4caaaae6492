"""Keeps what settings of the deployed functions refer to."""

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


main()
