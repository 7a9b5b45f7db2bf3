"""What failed comes back: failed/ in the bucket, a queue, the redrive function, and who may do what on that way."""

import cfn

TEMPLATE = cfn.load()
RESOURCES = TEMPLATE["Resources"]
FUNCTION = RESOURCES["Redrive"]["Properties"]
QUEUE = RESOURCES["RedriveQueue"]["Properties"]
DEAD_LETTERS = RESOURCES["RedriveDeadLetterQueue"]["Properties"]
BUCKET = RESOURCES["Bucket"]["Properties"]
TWO_WEEKS = 14 * 86400


def test_both_functions_read_the_same_settings_and_redrive_knows_its_bucket_and_queue():
    shared = TEMPLATE["Globals"]["Function"]
    assert {"CodeUri", "Handler", "Runtime", "Architectures"} <= set(shared)
    assert FUNCTION["Environment"]["Variables"] == {
        "FAILED_BUCKET": {"Ref": "Bucket"},
        "FAILED_PREFIX": "failed/",
        "PARKED_PREFIX": "parked/",
        "REDRIVE_QUEUE_URL": {"Ref": "RedriveQueue"},
    }


def test_each_object_under_failed_is_queued_and_nothing_else():
    (queued,) = BUCKET["NotificationConfiguration"]["QueueConfigurations"]
    assert queued == {
        "Event": "s3:ObjectCreated:*",
        "Queue": {"Fn::GetAtt": ["RedriveQueue", "Arn"]},
        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "failed/"}]}},
    }
    # S3 tries the policy when the bucket is made; the policy must not need the bucket then.
    assert RESOURCES["Bucket"]["DependsOn"] == "RedriveQueuePolicy"
    assert '"Bucket"' not in cfn.text(RESOURCES["RedriveQueuePolicy"])
    destination = RESOURCES["Stream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    assert destination["ErrorOutputPrefix"].startswith("failed/")
    # Originals were delivered: what Firehose could not keep of them must not be delivered again.
    assert not destination["S3BackupConfiguration"]["Fn::If"][1]["ErrorOutputPrefix"].startswith("failed/")


def test_only_the_buckets_s3_sends_to_the_queue_and_only_over_tls():
    allow, deny = RESOURCES["RedriveQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allow["Principal"], allow["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
    assert allow["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    # CloudFormation names the bucket STACK-bucket-…, in lower case.
    source = allow["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert source == "arn:${AWS::Partition}:s3:::${AWS::StackName}-bucket-*"
    for policy in ("RedriveQueuePolicy", "RedriveDeadLetterQueuePolicy"):
        deny = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"][-1]
        assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sqs:*")
        assert deny["Condition"]["Bool"] == {"aws:SecureTransport": "false"}


def test_a_message_lives_as_long_as_the_retries_and_then_is_alarmed_on():
    receipts = QUEUE["RedrivePolicy"]["maxReceiveCount"]
    # The function's own pauses grow to an hour.
    assert TWO_WEEKS - 86400 / 2 < receipts * 3600 < TWO_WEEKS
    assert QUEUE["MessageRetentionPeriod"] == DEAD_LETTERS["MessageRetentionPeriod"] == TWO_WEEKS
    assert QUEUE["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["RedriveDeadLetterQueue", "Arn"]}
    assert QUEUE["SqsManagedSseEnabled"] is DEAD_LETTERS["SqsManagedSseEnabled"] is True
    delay = TEMPLATE["Parameters"]["RedriveDelaySeconds"]
    assert QUEUE["DelaySeconds"] == {"Ref": "RedriveDelaySeconds"}
    assert 60 <= delay["Default"] <= delay["MaxValue"] == 900
    alarm = RESOURCES["DeadLettersAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert "RedriveDeadLetterQueue" in cfn.text(alarm["Dimensions"])
    # The object outlives its message by far, and a parked one what failed.
    failed, parked = (TEMPLATE["Parameters"][name] for name in ("FailedDays", "ParkedDays"))
    assert failed["MinValue"] > 14
    assert parked["Default"] > failed["Default"]


def test_one_object_at_a_time_is_taken_and_lambda_waits_as_long_as_it_should():
    mapping = RESOURCES["RedriveMapping"]["Properties"]
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert mapping["FunctionName"] == {"Ref": "Redrive"}
    assert QUEUE["VisibilityTimeout"] >= 6 * FUNCTION["Timeout"]


def test_every_prefix_has_an_end():
    rules = {rule["Prefix"]: rule for rule in BUCKET["LifecycleConfiguration"]["Rules"] if "Prefix" in rule}
    assert set(rules) == {"archive/", "originals/", "failed/", "parked/"}
    assert rules["parked/"]["ExpirationInDays"] == {"Ref": "ParkedDays"}


def test_redrive_may_touch_what_failed_and_nothing_else_in_the_bucket():
    granted = {each["Sid"]: each for name, each in cfn.statements(TEMPLATE) if name == "RedriveRole"}
    assert granted["MoveObjects"]["Resource"] == [{"Fn::Sub": "${Bucket.Arn}/failed/*"}, {"Fn::Sub": "${Bucket.Arn}/parked/*"}]
    assert sorted(granted["MoveObjects"]["Action"]) == ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    # S3 answers 404 for an object that is gone only to who may list the bucket, and that request has no prefix.
    assert granted["ListObjects"]["Condition"] == {"StringLikeIfExists": {"s3:prefix": ["failed/*", "parked/*"]}}
    assert granted["TakeAndQueueObjects"]["Resource"] == {"Fn::GetAtt": ["RedriveQueue", "Arn"]}
    # Token, credentials and certificate as the forwarder's.
    assert RESOURCES["TokenPolicy"]["Properties"]["Roles"] == [{"Ref": "ForwarderRole"}, {"Ref": "RedriveRole"}]


def test_the_outputs_name_the_function_its_log_and_both_queues():
    outputs = {name: each["Value"] for name, each in TEMPLATE["Outputs"].items()}
    assert outputs["RedriveFunctionName"] == {"Ref": "Redrive"}
    assert outputs["RedriveLogGroupName"] == {"Ref": "RedriveLogGroup"}
    assert outputs["RedriveQueueUrl"] == {"Ref": "RedriveQueue"}
    assert outputs["RedriveDeadLetterQueueUrl"] == {"Ref": "RedriveDeadLetterQueue"}
