"""Checks the permissions of the transformed template.yaml and queue.yaml, and the numbers that must fit each other. Says what is wrong and exits with 1."""

import json
import sys
import tomllib

# What is lost with them cannot be made again.
KEEP_DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(resources):
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", []) if "PolicyDocument" in policy]
        documents += [properties[key] for key in ("PolicyDocument", "AssumeRolePolicyDocument") if key in properties]
        for document in documents:
            for statement in document["Statement"]:
                # A statement may hang on a condition of the template.
                yield from ((name, branch) for branch in as_list(statement.get("Fn::If", [statement])) if isinstance(branch, dict) and "Action" in branch)


def everywhere(resources):
    """What holds for both."""
    for name, statement in statements(resources):
        if "*" in as_list(statement.get("Resource", [])):
            yield f"{name}: a statement is for every resource"
        if any("*" in action for action in as_list(statement["Action"])):
            yield f"{name}: a statement allows a wildcard of actions"
    for name, resource in resources.items():
        if resource.get("Properties", {}).get("ManagedPolicyArns"):
            yield f"{name}: has a managed policy"
        if resource["Type"] in KEEP_DATA and resource.get("UpdateReplacePolicy") != "Retain":
            yield f"{name}: what it holds is lost with an update that replaces it"


def problems(template, more):
    resources = template["Resources"]
    yield from everywhere(resources)
    yield from everywhere(more["Resources"])
    if resources["Table"]["Properties"].get("DeletionProtectionEnabled") != {"Fn::If": ["TableIsProtected", True, False]}:
        yield "Table: is not protected by the parameter"
    with open("samconfig.toml", "rb") as file:
        if "DeletionProtection=on" not in tomllib.load(file)["prod"]["deploy"]["parameters"]["parameter_overrides"].split():
            yield "samconfig.toml: prod does not protect its table"
    queue, dead = resources["Queue"]["Properties"], resources["DeadLetterQueue"]["Properties"]
    shortest = 6 * resources["ConsumerFunction"]["Properties"]["Timeout"]
    if queue["VisibilityTimeout"] < shortest:
        yield "Queue: the visibility timeout is shorter than six times the consumer's timeout"
    kept = queue["MessageRetentionPeriod"]
    longest = template["Parameters"][kept["Ref"]]["MaxValue"] if isinstance(kept, dict) else kept
    if dead["MessageRetentionPeriod"] <= longest:
        yield "DeadLetterQueue: keeps messages no longer than the queue"
    other, other_dead = more["Resources"]["Queue"]["Properties"], more["Resources"]["DeadLetterQueue"]["Properties"]
    if other["RedrivePolicy"] != queue["RedrivePolicy"] or other_dead["MessageRetentionPeriod"] != dead["MessageRetentionPeriod"]:
        yield "queue.yaml: gives up otherwise than the default queue"
    stacks = {name: resource for name, resource in resources.items() if resource["Type"] == "AWS::CloudFormation::Stack"}
    for name, stack in stacks.items():
        given, slot = stack["Properties"]["Parameters"], name.removesuffix("Stack")
        if given["VisibilityTimeout"] != queue["VisibilityTimeout"] or given["RetentionSeconds"] != kept:
            yield f"{name}: its times are not the default queue's"
        source = resources.get(f"{slot}Source", {})
        if source.get("Condition") != stack["Condition"] or source["Properties"]["EventSourceArn"] != {"Fn::GetAtt": [name, "Outputs.Arn"]}:
            yield f"{name}: nothing takes its messages"
        yield from (f"{role}: may not do with {name} what it may with the default queue" for role in unlike(resources, name, stack["Condition"]))


def unlike(resources, stack, condition):
    """The roles that have a statement for the default queue, or its dead letters, and not for another one."""
    outputs = {"Queue": "Outputs.Arn", "DeadLetterQueue": "Outputs.DeadLetterArn"}
    for role, statement in statements(resources):
        listed = as_list(statement.get("Resource", []))
        for default, output in outputs.items():
            wanted = {"Fn::If": [condition, {"Fn::GetAtt": [stack, output]}, {"Ref": "AWS::NoValue"}]}
            if role != "QueuePolicy" and {"Fn::GetAtt": [default, "Arn"]} in listed and wanted not in listed:
                yield role


found = list(problems(*(json.load(open(path)) for path in sys.argv[1:])))
print("\n".join(found) or "permissions and timeouts: nothing wrong")
sys.exit(bool(found))
