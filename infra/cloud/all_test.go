package cloud_test

import (
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"connectorvault/infra/cloud/rights"
	"connectorvault/infra/stack"
)

// parts are run on a deployment each.
var parts = map[string]func(*bed){
	"journey": journey, "killed between the answer and the store": killed, "stampede at a slow endpoint": stampede, "the table is away": away,
	"attacks": attacks, "queues": queues, "a tenant's life": life, "what comes about seldom": seldom,
}

// TestCloud runs every part, all at once, and then looks at what the roles were needed for.
func TestCloud(t *testing.T) {
	asked(t)
	record := rights.NewRecord()
	var ran atomic.Int64
	var all figures
	t.Run("parts", func(t *testing.T) {
		for name, part := range parts {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := deploy(t, record)
				part(b)
				all.take(b)
				ran.Add(1)
			})
		}
	})
	if int(ran.Load()) != len(parts) {
		t.Log("not every part ran to its end, so nothing is said of rights that nobody needed")
		return
	}
	all.print(t, own)
	template, err := stack.Load(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	functions, err := template.Functions()
	if err != nil {
		t.Fatal(err)
	}
	queues := (&bed{T: t, template: template, functions: functions}).mappings()
	for folder, f := range functions {
		var others []string
		for grant := range platform(f, queues) {
			others = append(others, grant)
		}
		slices.Sort(others)
		if unused := record.Unused(f); !slices.Equal(unused, others) {
			t.Errorf("%s: what it may and did not do is\n%q\nand what Lambda does in its name\n%q", folder, unused, others)
		}
	}
}

// platform are the grants of a function's role that Lambda itself uses, each with what it does. They and those that the programs
// used are all that there are.
func platform(f stack.Function, queues []mapping) map[string]string {
	out := map[string]string{}
	for _, action := range []string{"CreateLogStream", "PutLogEvents"} {
		out["logs:"+action+" "+f.LogGroup+".Arn"] = "it keeps what the function prints"
	}
	for _, m := range queues {
		if m.function == f.ID {
			for action, why := range map[string]string{"ReceiveMessage": "it takes messages for the function", "DeleteMessage": "it removes those that the function has carried out",
				"GetQueueAttributes": "it looks how many wait"} {
				out["sqs:"+action+" "+m.queue+".Arn"] = why
			}
		}
	}
	return out
}
