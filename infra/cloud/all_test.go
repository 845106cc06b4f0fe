package cloud_test

import (
	"testing"

	"connectorvault/infra/cloud/rights"
)

// TestCloud runs every part on a deployment of its own, all at once, and then looks at what the roles were needed for.
func TestCloud(t *testing.T) {
	asked(t)
	record := rights.NewRecord()
	var functions *bed
	t.Run("parts", func(t *testing.T) {
		for name, part := range map[string]func(*bed){
			"journey": journey, "killed between the answer and the store": killed, "stampede at a slow endpoint": stampede, "the table is away": away,
			"attacks": attacks, "queues": queues,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				part(deploy(t, record))
			})
		}
		functions = deploy(t, record) // for its roles
	})
	for folder, f := range functions.functions {
		for _, grant := range record.Unused(f) {
			if why(folder, grant) == "" {
				t.Errorf("%s may %s, and nothing needed it", folder, grant)
			}
		}
	}
}

func why(folder, grant string) string { return "" }
