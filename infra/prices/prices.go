// Package prices says what AWS asks for the things that the vault uses, and adds up what an amount of them costs.
//
// The argument: a sentence about costs is worth what the prices under it are worth, and prices change. So they stand in one
// table, each with its unit, the month it was looked up, where, and whether it was read there or is assumed; whoever
// computes costs counts things and multiplies with nothing else. Free allowances are not taken off, since another program of the
// account may use them up, and the first step of a price that falls with the amount holds for all of it: what comes out is too
// much rather than too little.
//
// Amounts of money are whole millionths of a dollar, so that the lines of a bill add up to its total exactly.
package prices

import (
	"fmt"
	"math"
	"strconv"
)

// Region is where the prices hold. Other Regions ask for the same things, most of them a little more.
const Region = "us-east-1"

// Item names one thing that is paid for.
type Item string

// The things that are paid for, each counted in the unit that [Price] says.
const (
	LambdaRequests       Item = "lambda-requests"
	LambdaGBSeconds      Item = "lambda-gb-seconds"
	DynamoWrites         Item = "dynamodb-writes"
	DynamoReads          Item = "dynamodb-reads"
	DynamoStorage        Item = "dynamodb-storage"
	DynamoRecovery       Item = "dynamodb-recovery"
	DynamoRestore        Item = "dynamodb-restore"
	SQSRequests          Item = "sqs-requests"
	Secrets              Item = "secrets"
	SecretCalls          Item = "secret-calls"
	Keys                 Item = "keys"
	KeyRequests          Item = "key-requests"
	HTTPRequests         Item = "http-requests"
	SchedulerInvocations Item = "scheduler-invocations"
	LogIngestion         Item = "log-ingestion"
	LogStorage           Item = "log-storage"
	CustomMetrics        Item = "custom-metrics"
	AlarmMetrics         Item = "alarm-metrics"
	Dashboards           Item = "dashboards"
	DataOut              Item = "data-out"
)

// Price is what a number of units of an item costs.
type Price struct {
	Item    Item
	Service string  // as a bill names it
	Unit    string  // what is counted
	USD     float64 // for Units of it
	Units   float64
	Looked  string // the month it was looked up, "2026-08"
	Source  string // where it was read; of an assumed price, what the assumption rests on
	Assumed bool   // not read in a source that states it for this Region
}

// The page on which AWS states its prices. Where a transcript of it was read, the source says whose.
const (
	dynamoPage = "aws.amazon.com/dynamodb/pricing/on-demand"
	lambdaPage = "aws.amazon.com/lambda/pricing"
	watchPage  = "aws.amazon.com/cloudwatch/pricing"
)

// table has every item once, in the order of a bill.
var table = []Price{
	{LambdaRequests, "Lambda", "request", 0.20, 1e6, "2026-11", lambdaPage + ", arm64, as cloudchipr.com repeats it", false},
	{LambdaGBSeconds, "Lambda", "GB-second", 0.0000133334, 1, "2026-11", lambdaPage + ", arm64, first 7.5 thousand million, as cloudchipr.com repeats it", false},
	{DynamoWrites, "DynamoDB", "write request unit", 0.625, 1e6, "2026-08", "AWS's own calculator script (AWS facts 3.1)", false},
	{DynamoReads, "DynamoDB", "read request unit", 0.125, 1e6, "2026-08", "AWS's own calculator script (AWS facts 3.1)", false},
	{DynamoStorage, "DynamoDB", "GB-month", 0.25, 1, "2026-08", "AWS's own calculator script (AWS facts 3.1)", false},
	{DynamoRecovery, "DynamoDB", "GB-month under point-in-time recovery", 0.20, 1, "2026-11", "recalled from " + dynamoPage, true},
	{DynamoRestore, "DynamoDB", "GB restored", 0.15, 1, "2026-11", "recalled from " + dynamoPage, true},
	{SQSRequests, "SQS", "request of up to 64 KB, standard queue", 0.40, 1e6, "2026-03", "aws.amazon.com/sqs/pricing, as cloudburn.io repeats it", false},
	{Secrets, "Secrets Manager", "secret-month", 0.40, 1, "2026-09", "aws.amazon.com/secrets-manager/pricing (AWS facts 2.1)", false},
	{SecretCalls, "Secrets Manager", "call", 0.05, 1e4, "2026-09", "aws.amazon.com/secrets-manager/pricing (AWS facts 2.1)", false},
	{Keys, "KMS", "key of one's own, a month", 1.00, 1, "2026-03", "aws.amazon.com/kms/pricing (AWS facts 2.4)", false},
	{KeyRequests, "KMS", "request", 0.03, 1e4, "2026-03", "aws.amazon.com/kms/pricing, as cloudburn.io repeats it (AWS facts 2.4)", false},
	{HTTPRequests, "API Gateway", "request of up to 512 KB to an HTTP API", 1.00, 1e6, "2026-11", "an AWS whitepaper's table, first 300 million (AWS facts 4)", false},
	{SchedulerInvocations, "EventBridge Scheduler", "invocation", 1.00, 1e6, "2026-03", "cloudburn.io (AWS facts 3.3); the 14 million that are free each month are not taken off", false},
	{LogIngestion, "CloudWatch", "GB of logs taken in", 0.50, 1, "2026-06", watchPage + ", as factualminds.com repeats it", false},
	{LogStorage, "CloudWatch", "GB-month of logs kept", 0.03, 1, "2026-11", "recalled from " + watchPage + "; it counts compressed bytes", true},
	{CustomMetrics, "CloudWatch", "metric of one's own, a month", 0.30, 1, "2026-02", watchPage + ", first 10,000, as signoz.io repeats it", false},
	{AlarmMetrics, "CloudWatch", "metric of a standard alarm, a month", 0.10, 1, "2026-11", watchPage + ", as c3x.dev repeats it", false},
	{Dashboards, "CloudWatch", "dashboard, a month", 3.00, 1, "2026-06", watchPage + ", as factualminds.com repeats it", false},
	{DataOut, "Data transfer", "GB out to the internet", 0.09, 1, "2026-11", "first 10 TB, as unanswered.io repeats it of aws.amazon.com/sqs/pricing", false},
}

// All returns every price, in the order of a bill.
func All() []Price { return append([]Price(nil), table...) }

// Usage is how much of each item is used. An item that is missing is not used.
type Usage map[Item]float64

// Add returns what both use together.
func (u Usage) Add(other Usage) Usage {
	sum := make(Usage, len(u)+len(other))
	for item, n := range u {
		sum[item] += n
	}
	for item, n := range other {
		sum[item] += n
	}
	return sum
}

// Times returns what is used by doing the same n times.
func (u Usage) Times(n float64) Usage {
	product := make(Usage, len(u))
	for item, count := range u {
		product[item] = count * n
	}
	return product
}

// USD is an amount of money, in millionths of a dollar.
type USD int64

// String writes the amount in dollars with two places, rounded half away from zero: "$1.25".
func (d USD) String() string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	cents := (d + 5_000) / 10_000
	return fmt.Sprintf("%s$%d.%02d", sign, cents/100, cents%100)
}

// Line is what one item costs.
type Line struct {
	Price Price
	Count float64
	Cost  USD
}

// Bill is what a usage costs: a line for each item that is used, in the table's order.
type Bill struct {
	Lines []Line
}

// Total adds the lines up.
func (b Bill) Total() USD {
	var sum USD
	for _, line := range b.Lines {
		sum += line.Cost
	}
	return sum
}

// Service adds up the lines of one service.
func (b Bill) Service(name string) USD {
	var sum USD
	for _, line := range b.Lines {
		if line.Price.Service == name {
			sum += line.Cost
		}
	}
	return sum
}

// Services returns the names of all services, in the order of a bill.
func Services() []string {
	var names []string
	for _, p := range table {
		if len(names) == 0 || names[len(names)-1] != p.Service {
			names = append(names, p.Service)
		}
	}
	return names
}

// The largest cost of a line, far from where millionths overflow when lines are added.
const limit = 1e15

// Cost says what a usage costs. An item without a price, and a count that is none, are mistakes of the program that asks.
func Cost(u Usage) (Bill, error) {
	var bill Bill
	known := 0
	for _, p := range table {
		n, ok := u[p.Item]
		if !ok {
			continue
		}
		known++
		micro := math.Round(n / p.Units * p.USD * 1e6)
		if !(n >= 0) || !(micro <= limit) { // so that NaN is refused too
			return Bill{}, fmt.Errorf("%s of %s cannot be paid for", strconv.FormatFloat(n, 'g', -1, 64), p.Item)
		}
		if n > 0 {
			bill.Lines = append(bill.Lines, Line{Price: p, Count: n, Cost: USD(micro)})
		}
	}
	if known == len(u) {
		return bill, nil
	}
	priced := map[Item]bool{}
	for _, p := range table {
		priced[p.Item] = true
	}
	for item := range u {
		if !priced[item] {
			return Bill{}, fmt.Errorf("%q has no price", item)
		}
	}
	return bill, nil
}
