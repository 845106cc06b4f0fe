package clara_test

import (
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// notShown fails when an error has something of what was given to it. What is short may be there by chance.
func notShown(t *testing.T, err error, given ...string) {
	t.Helper()
	problem := fault.As(err)
	for _, text := range given {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) >= 24 && !strings.HasPrefix(line, "-----") &&
				strings.Contains(problem.Error()+problem.Detail+problem.Action, line) {
				t.Fatalf("the error quotes %q: %v", line, problem)
			}
		}
	}
}

// Whatever is pasted for certificate and key: it is understood, or refused by name and not quoted.
func FuzzMaterial(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "", ""},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", ""},
		{"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "x"},
		{"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAAAA", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"},
		{"\ufeff-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----", "\x00"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	adapter, now := clara.New(clara.Options{}), time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, certificate, key, authorities string) {
		given := map[string]secret.Text{"secret_key": secret.New("fuzz-secret-key"), "client_certificate": secret.New(certificate),
			"private_key": secret.New(key), "ca_certificates": secret.New(authorities)}
		material, err := adapter.CheckSecrets(record.Entry{}, given, now)
		if err == nil {
			if material.Fingerprint == "" || material.NotAfter.Before(now) {
				t.Fatalf("it was understood as %+v", material)
			}
			return
		}
		if problem := fault.As(err); problem.Kind != fault.Invalid || problem.Code == "" || problem.Field == "" || problem.Action == "" {
			t.Fatalf("refused as %+v", problem)
		}
		notShown(t, err, key, certificate, authorities)
	})
}

// Whatever file is brought as Clara's download: it has fields of an entry, or is refused.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{"", "{}", "[]", `{"clientId":"a","clientSecret":"b","publicKey":"c","privateKey":"d"}`, `{"credentials":{"clientId":5}}`,
		`{"clientId":{"a":[1,2,{}]}}`, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "clientId: x\nclientSecret: y", "{\"a\":\"\xff\"}", strings.Repeat("{", 1000)} {
		f.Add(seed)
	}
	adapter := clara.New(clara.Options{})
	names := map[string]bool{}
	for _, field := range adapter.Descriptor().Fields {
		names[field.Name] = true
	}
	f.Fuzz(func(t *testing.T, file string) {
		fields, err := adapter.Import(secret.New(file))
		if err != nil {
			if problem := fault.As(err); problem.Kind != fault.Invalid || problem.Code == "" || problem.Action == "" {
				t.Fatalf("refused as %+v", problem)
			}
			notShown(t, err, file)
			return
		}
		for name := range fields {
			if !names[name] {
				t.Fatalf("%q is no field of an entry", name)
			}
		}
	})
}

// Whatever comes back from the provider's host is judged, with the status that it had.
func FuzzJudge(f *testing.F) {
	f.Add(511, "")
	f.Add(401, `{"message":"Missing certificate"}`)
	f.Add(422, `{"code":"x","message":"y","errors":[{"field":5}]}`)
	f.Add(500, "<html>")
	f.Add(400, `{"error":{"error":{"error":"`)
	adapter := clara.New(clara.Options{})
	f.Fuzz(func(t *testing.T, status int, body string) {
		verdict := adapter.Judge(status, nil, []byte(body))
		if verdict.Fault == nil || verdict.Fault.Code == "" || verdict.Fault.Provider == nil || verdict.Fault.Provider.Status != status {
			t.Fatalf("judged %+v", verdict)
		}
	})
}
