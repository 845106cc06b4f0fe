package cloud_test

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"connectorvault/infra/cloud/rights"
	"connectorvault/infra/stack"
)

// parts are run on a deployment each.
var parts = map[string]func(*bed){
	"journey": journey, "killed between the answer and the store": killed, "stampede at a slow endpoint": stampede, "the table is away": away,
	"attacks": attacks, "queues": queues, "a tenant's life": life,
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
	for folder, f := range functions {
		for _, grant := range record.Unused(f) {
			if why(folder, grant) == "" {
				t.Errorf("%s may %s, and nothing needed it", folder, grant)
			}
		}
	}
}

// delivers is why notify has rights that are not needed here.
const delivers = "for deliveries, which go to the public internet alone, and that is not reached from here; its packages have tests of their own"

// unneeded are the grants that nothing here needs, each with its reason. A key is an action, or a function and a grant's beginning.
var unneeded = map[string]string{
	"logs:CreateLogStream":                 "Lambda itself writes the logs",
	"logs:PutLogEvents":                    "Lambda itself writes the logs",
	"read dynamodb:Query TransientTable":   "for an application whose calls at once are nearly all taken: the free ones are looked for",
	"read dynamodb:DeleteItem Transient":   "likewise: what is scarce is given back at once",
	"refresh dynamodb:DeleteItem Transien": "notes of secrets that no record names, and of tokens that a provider refused although they were fresh: neither came about",
	"refresh secretsmanager:DeleteSecret arn:aws:secretsmanager:eu-central-1:111122223333:secret:vault/t_*/app/": "of what no record names, which the schedule removes when it has seen it twice, half a day apart",
	"notify dynamodb:UpdateItem RecordsTable": delivers,
	"notify secretsmanager:GetSecretValue":    delivers,
	"notify sqs:ChangeMessageVisibility":      delivers,
}

// why is the reason for a grant that nothing needed; "" when there is none.
func why(folder, grant string) string {
	action, _, _ := strings.Cut(grant, " ")
	if reason := unneeded[action]; reason != "" {
		return reason
	}
	for beginning, reason := range unneeded {
		if strings.HasPrefix(folder+" "+grant, beginning) {
			return reason
		}
	}
	return ""
}
