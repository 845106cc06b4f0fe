"""What the test of the deployment has in Python: SAM's transform, and the calls of AWS by the names that they have in its API.

It takes one request a line, as JSON, and answers each with a line: {"result": ...} or {"error": ...}. Where AWS is said to be is
its one argument.
"""

import ast
import base64
import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")

import boto3
import moto
import samtranslator
from samtranslator.parser.parser import Parser
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


class NoPolicies(ManagedPolicyLoader):
    """The template names no managed policy, and AWS is not here to be asked for them."""

    def __init__(self):
        pass

    def load(self):
        return {}


def transform(template, parameters, places):
    """The template as CloudFormation carries it out. places says where things lie that sam package would have uploaded."""
    document = yaml_parse(template)
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "Location"):
            if name in properties:
                properties[name] = places[properties[name]]
    if "Transform" not in document:
        return document
    region = {"AWS::Region": os.environ["AWS_DEFAULT_REGION"], "AWS::Partition": "aws"}
    return Translator(NoPolicies().load(), Parser()).translate(document, {**region, **parameters})


clients = {}


def call(service, operation, parameters):
    if service not in clients:
        clients[service] = boto3.client(
            service, endpoint_url=sys.argv[1], region_name=os.environ["AWS_DEFAULT_REGION"],
            aws_access_key_id="tests", aws_secret_access_key="tests")
    client = clients[service]
    if client.can_paginate(operation):
        result = client.get_paginator(operation).paginate(**parameters).build_full_result()
    else:
        result = getattr(client, operation)(**parameters)
    result.pop("ResponseMetadata", None)
    for name, value in result.items():
        if hasattr(value, "read"):
            result[name] = value.read().decode()
        elif name == "PolicyDocument" and isinstance(value, str):
            result[name] = ast.literal_eval(value)  # moto answers with Python's own form of it
    return result


def put(bucket, key, content):
    call("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": base64.b64decode(content)})


def versions():
    return {"moto": moto.__version__, "aws-sam-translator": samtranslator.__version__}


does = {"transform": transform, "call": call, "put": put, "versions": versions}
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": does[request.pop("do")](**request)}
    except Exception as e:  # whatever it is, it is the test's to judge
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer, default=str), file=answers, flush=True)
