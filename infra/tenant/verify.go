package main

import (
	"context"
	"encoding/json"
	"fmt"
)

// verify walks the audit chains of a tenant and prints what it came to. It is an error if anything is not as it was written.
func (o *operator) verify(ctx context.Context, args []string) error {
	if err := o.exists(ctx, args[0]); err != nil {
		return err
	}
	report, err := o.Vault.VerifyAudit(ctx, args[0], nil)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(o.stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(report); err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return fmt.Errorf("the audit trail of %s is not as it was written; see the findings", args[0])
	}
	return nil
}
