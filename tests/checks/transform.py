"""Turns a template into what CloudFormation gets, without AWS, on standard output as JSON."""

import json
import os
import sys

from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

NO_MANAGED_POLICIES = type("Loader", (ManagedPolicyLoader,), {"__init__": lambda self: None, "load": lambda self: {}})


def main(path):
    # The translator wants one; nothing depends on which.
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    with open(path) as file:
        template = yaml_parse(file)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam deploy` puts the artifact there.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://bucket.s3.amazonaws.com/key"
    json.dump(transform(template, {}, NO_MANAGED_POLICIES()), sys.stdout, indent=1)


main(sys.argv[1])
