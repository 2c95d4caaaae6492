"""Checks the permissions of the transformed template.yaml and queue.yaml, and the numbers that must fit each other. Says what is wrong and exits with 1."""

import json
import re
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


# What settings may be that take references, and what of each may be read: a parameter, a secret. Anything that is no reference must not show in a policy.
REFERENCES = {
    "": ("none", "none"),
    "xoxb-hunter2": ("none", "none"),
    "ssm:send:9f86d081": ("none", "none"),
    '{"shop.*":{"http":"https://shop.example.com/a#b"}}': ("none", "none"),
    "rediss://ssm:hunter2@host:6379/0#x": ("none", "none"),
    "ssm:/errand/prod/slack": ("errand/prod/slack", "none"),
    "secretsmanager:errand/slack": ("none", "errand/slack"),
    "secretsmanager:rds!db-1#password": ("none", "rds!db-1"),
}
NO_REFERENCES = ["hunter2ssm:/other", "hunter2 secretsmanager:other", "ssm:/a\nssm:/other", "ssm:/*", "ssm:/a:3", "secretsmanager:a*", "secretsmanager:a#ssm:/other"]


def value_of(node, names):
    """What CloudFormation makes of an expression of Sub, Split and Select, with these values of its parameters."""
    if isinstance(node, str):
        return node
    ((function, given),) = node.items()
    if function == "Fn::Sub":
        text, own = given if isinstance(given, list) else (given, {})
        known = names | {name: value_of(node, names) for name, node in own.items()}
        return re.sub(r"\$\{([A-Za-z:]+)\}", lambda name: known[name[1]], text)
    if function == "Fn::Split":
        return value_of(given[1], names).split(given[0])
    return value_of(given[1], names)[given[0]]


def references(template):
    """The permissions of what settings refer to: for each that a function is given, and for what it refers to alone."""
    resources = template["Resources"]
    pseudo = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "1"}
    takers = {name for name, parameter in template["Parameters"].items() if "ssm:/" in parameter.get("AllowedPattern", "")}
    for name in takers:
        pattern = re.compile(template["Parameters"][name]["AllowedPattern"])
        yield from (f"{name}: does not take {value}" for value in REFERENCES if not pattern.fullmatch(value))
        yield from (f"{name}: takes {value}" for value in NO_REFERENCES if pattern.fullmatch(value))
    for function, role in (("EnqueueFunction", "EnqueueRole"), ("StatusFunction", "StatusRole"), ("ConsumerFunction", "ConsumerRole"), ("OutboxFunction", "OutboxRole")):
        given = [value["Ref"] for value in resources[function]["Properties"]["Environment"]["Variables"].values() if isinstance(value, dict) and value.get("Ref") in takers]
        for place, action in enumerate(("ssm:GetParameter", "secretsmanager:GetSecretValue")):
            found = [arn for name, statement in statements(resources) if name == role and statement["Action"] == action for arn in statement["Resource"]]
            if len(found) != len(given):
                yield f"{role}: allows {action} for {len(found)} settings, and {function} is given {len(given)} that may refer to their values"
            for taker in given:
                for value, readable in REFERENCES.items():
                    values = pseudo | {name: "" for name in takers} | {taker: value}
                    wanted = "parameter/{}" if place == 0 else "secret:{}-??????"
                    service = action.split(":")[0]
                    arns = sorted(f"arn:aws:{service}:eu-west-1:1:{wanted.format(what)}" for what in [readable[place]] + ["none"] * (len(given) - 1))
                    if sorted(value_of(arn, values) for arn in found) != arns:
                        yield f"{role}: allows {action} of something else than what {taker} refers to"
                        break


# What a role that hands tasks to others may do with what they are handed to, by the parameter that names those, and nothing else; the health of enqueue asks more.
OTHERS = {
    "TransportQueueArns": (["sqs:SendMessage"], ["sqs:GetQueueAttributes"]),
    "TransportTopicArns": (["sns:Publish"], ["sns:GetTopicAttributes"]),
    "TransportFunctionArns": (["lambda:InvokeFunction"], []),
    "TransportBusArns": (["events:PutEvents", "events:DescribeEventBus"], []),
    "TransportKeyArns": (["kms:GenerateDataKey", "kms:Decrypt"], []),
    "TransportSecretArns": (["ssm:GetParameter", "secretsmanager:GetSecretValue"], []),
}


def others(template):
    """What is allowed of others' queues, topics and so on: of those alone that the parameters name, which name none unless they are set."""
    resources = template["Resources"]
    for name, (hands_over, asks) in OTHERS.items():
        if template["Parameters"][name]["Default"] != "":
            yield f"{name}: names something unless it is set"
        allowed = {role: as_list(statement["Action"]) for role, statement in statements(resources) if statement.get("Resource") == {"Ref": name}}
        wanted = {"EnqueueRole": hands_over + asks, "ConsumerRole": hands_over, "StatusRole": hands_over, "OutboxRole": hands_over}
        if allowed != wanted:
            yield f"{name}: allows {allowed} and not {wanted}"
        elsewhere = [role for role, statement in statements(resources) if name in json.dumps(statement) and statement.get("Resource") != {"Ref": name}]
        yield from (f"{role}: a statement is for {name} and more" for role in elsewhere)


def problems(template, more):
    resources = template["Resources"]
    yield from references(template)
    yield from others(template)
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
