"""Stands in for the redrive function until it is built: makes each AWS call that its role is for, and says how each was answered."""

import json
import os
import urllib.parse
import urllib.request

import boto3
import botocore.exceptions

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
BUCKET = os.environ["FAILED_BUCKET"]
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
sqs = boto3.client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def answer_of(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def handle(message):
    """What S3 said of an object; no other message is counted."""
    report = {}
    for record in json.loads(message["body"]).get("Records", []):
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        queue = os.environ["REDRIVE_QUEUE_URL"]
        report = {
            "key": key,
            "lines": body.decode().splitlines(),
            "wait": answer_of(sqs.change_message_visibility, QueueUrl=queue, ReceiptHandle=message["receiptHandle"], VisibilityTimeout=60),
            "list": answer_of(s3.list_objects_v2, Bucket=BUCKET, Prefix=os.environ["FAILED_PREFIX"]),
            "read elsewhere": answer_of(s3.get_object, Bucket=BUCKET, Key="archive/x"),
            "write elsewhere": answer_of(s3.put_object, Bucket=BUCKET, Key="archive/x", Body=b""),
            "queue": answer_of(sqs.send_message, QueueUrl=queue, MessageBody="{}"),
            "delete": answer_of(s3.delete_object, Bucket=BUCKET, Key=key),
            "gone": answer_of(s3.get_object, Bucket=BUCKET, Key=key),
        }
        s3.put_object(Bucket=BUCKET, Key=os.environ["PARKED_PREFIX"] + "report", Body=json.dumps(report).encode())
    return {"batchItemFailures": []}


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(response.read())
    answer = handle(event["Records"][0])
    urllib.request.urlopen(f"{RUNTIME}/{request}/response", json.dumps(answer).encode()).close()
