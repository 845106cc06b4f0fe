# Functions for the commands of runbook.md, for bash:  . docs/runbook.sh
#
# They take the stage from STAGE, as samconfig.toml has them, or the stack's name from STACK; a key of a tenant from KEY; and account and
# Region as the AWS CLI does. None of them prints a secret, but for `ask` and `api`, which print what is answered.

: "${STAGE:=default}"
if [ "$STAGE" = default ]; then
  : "${STACK:=connector-vault}"
else
  : "${STACK:=connector-vault-$STAGE}"
fi
export STAGE STACK AWS_PAGER=
echo "stack $STACK"

# physical ID: what the resource of that logical id is really called.
physical() {
  aws cloudformation describe-stack-resource --stack-name "$STACK" --logical-resource-id "$1" \
    --query StackResourceDetail.PhysicalResourceId --output text
}

# output NAME: an output of the stack.
output() {
  aws cloudformation describe-stacks --stack-name "$STACK" --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue" --output text
}

# ask PAYLOAD [FILE]: invokes the function that makes and deletes tenants. The answer goes into the file, which only you can read, or is
# shown. A refusal is shown, and is a failure.
ask() {
  local answer failed status=0
  answer=${2:-$(mktemp)}
  (umask 077 && : >"$answer") || return
  failed=$(aws lambda invoke --function-name "$(output TenantFunction)" --cli-binary-format raw-in-base64-out --cli-read-timeout 70 \
    --payload "$1" --query FunctionError --output text "$answer") || return
  if [ "$failed" != None ] || grep -q '^{"error"' "$answer"; then
    status=1
  fi
  if [ $# -lt 2 ] || [ $status -ne 0 ]; then
    cat "$answer"
    echo
    rm -f "$answer"
  fi
  return $status
}

# api METHOD PATH [BODY]: asks the API with the key in KEY. @FILE sends what is in a file: secrets do not belong on a command line.
api() {
  printf 'Authorization: Bearer %s\n' "$KEY" |
    curl --silent --show-error --fail-with-body --max-time 40 --request "$1" --header @- \
      ${3:+--header 'Content-Type: application/json' --data "$3"} "$(output PublicUrl)$2"
  local status=$?
  echo
  return $status
}

# lines FUNCTION TEXT [MINUTES]: the function's log lines that hold a text, of the last hour or so many minutes. `api` is the
# access log.
lines() {
  local group=/connector-vault/$STACK/$1
  if [ "$1" = api ]; then
    group=/aws/vendedlogs/$STACK/api
  fi
  aws logs filter-log-events --log-group-name "$group" --filter-pattern "\"${2//\"/\\\"}\"" \
    --start-time $((($(date +%s) - ${3:-60} * 60) * 1000)) --query 'events[].[message]' --output text
}

# ringing: the alarms that ring now, and why.
ringing() {
  aws cloudwatch describe-alarms --state-value ALARM --alarm-name-prefix "$STACK " --query 'MetricAlarms[].[AlarmName, StateReason]' --output text
}

# queues TEXT: names and addresses of the queues whose logical ids hold a text.
queues() {
  aws cloudformation describe-stack-resources --stack-name "$STACK" --output text \
    --query "StackResources[?ResourceType=='AWS::SQS::Queue' && contains(LogicalResourceId, '$1')].[LogicalResourceId, PhysicalResourceId]"
}

# waiting TEXT: how many messages lie in each queue whose logical id holds a text, those among them that are being tried or that
# wait for their next try. It shows none of them.
waiting() {
  local name url visible tried later
  queues "$1" | while read -r name url; do
    read -r visible tried later < <(aws sqs get-queue-attributes --queue-url "$url" --output text \
      --attribute-names ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible ApproximateNumberOfMessagesDelayed \
      --query 'Attributes.[ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed]') || {
      echo "$name cannot be asked"
      continue
    }
    printf '%s %s\n' "$name" "$((visible + tried + later))"
  done
}

# redrive TEXT: sends what lies in those dead-letter queues back to where it came from.
redrive() {
  local name url
  queues "$1" | while read -r name url; do
    aws sqs start-message-move-task --output text --source-arn "$(aws sqs get-queue-attributes --queue-url "$url" \
      --attribute-names QueueArn --query Attributes.QueueArn --output text)" >/dev/null && echo "$name is sent back"
  done
}

# limit ID N: lets a function run so many times at once and no more; 0 is off. unlimit ID takes the limit away.
limit() {
  aws lambda put-function-concurrency --function-name "$(physical "$1")" --reserved-concurrent-executions "$2" --output text
}
unlimit() {
  aws lambda delete-function-concurrency --function-name "$(physical "$1")"
}

# throttled TABLE: how often DynamoDB throttled writes of the table of that logical id, by five minutes of the last hour.
throttled() {
  aws cloudwatch get-metric-statistics --namespace AWS/DynamoDB --metric-name WriteThrottleEvents \
    --dimensions "Name=TableName,Value=$(physical "$1")" --statistics Sum --period 300 \
    --start-time "$(date -u -d '1 hour ago' +%FT%TZ 2>/dev/null || date -u -v-1H +%FT%TZ)" --end-time "$(date -u +%FT%TZ)" \
    --query 'sort_by(Datapoints, &Timestamp)[].[Timestamp, Sum]' --output text
}

# busy ID: how many of a function run at once, at most, by five minutes of the last hour.
busy() {
  aws cloudwatch get-metric-statistics --namespace AWS/Lambda --metric-name ConcurrentExecutions \
    --dimensions "Name=FunctionName,Value=$(physical "$1")" --statistics Maximum --period 300 \
    --start-time "$(date -u -d '1 hour ago' +%FT%TZ 2>/dev/null || date -u -v-1H +%FT%TZ)" --end-time "$(date -u +%FT%TZ)" \
    --query 'sort_by(Datapoints, &Timestamp)[].[Timestamp, Maximum]' --output text
}
