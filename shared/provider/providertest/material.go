package providertest

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// noCertificate reports whether a status says that a client's certificate is missing or wrong.
func noCertificate(status int) bool {
	return slices.Contains([]int{http.StatusNetworkAuthenticationRequired, 495, 496}, status)
}

// material asks a Checker: good secrets pass, each that is required is missed, and none is said.
func material(t *testing.T, h Harness) {
	imports(t, h)
	checker, ok := h.Adapter.(provider.Checker)
	if !ok || h.Secrets == nil {
		return
	}
	_, dials := h.Adapter.(provider.Dialer)
	for _, e := range normalized(t, h) {
		found, err := checker.CheckSecrets(e, h.Secrets, now())
		if err != nil || dials && (found.Fingerprint == "" || !found.NotAfter.After(now())) {
			t.Fatalf("the harness's secrets are found to be %+v, %v", found, err)
		}
		for _, f := range h.Adapter.Descriptor().Fields {
			if h.Secrets[f.Name].IsZero() {
				continue
			}
			wrong := maps.Clone(h.Secrets)
			if delete(wrong, f.Name); f.Required {
				refused(t, checker, e, f.Name, wrong)
			}
			if f.Reads {
				wrong[f.Name] = secret.New(canary)
				refused(t, checker, e, f.Name, wrong)
			}
		}
	}
}

// imports asks an Importer for the content of files that are none.
func imports(t *testing.T, h Harness) {
	t.Helper()
	importer, ok := h.Adapter.(provider.Importer)
	if !ok {
		return
	}
	for _, text := range []string{"", "{}", "[]", canary, `{"` + canary + `":"` + canary + `"}`, `{"` + canary, "-----BEGIN " + canary + "-----"} {
		fields, err := importer.Import(secret.New(text))
		if err == nil || len(fields) > 0 {
			t.Errorf("a file that is none holds %d fields", len(fields))
			continue
		}
		explained(t, "a file that is none", err)
	}
}

func refused(t *testing.T, checker provider.Checker, entry record.Entry, field string, secrets map[string]secret.Text) {
	t.Helper()
	_, err := checker.CheckSecrets(entry, secrets, now())
	if err == nil {
		t.Errorf("%s that is missing or none is taken", field)
		return
	}
	explained(t, field+" that is missing or none", err)
	if f := fault.As(err); f.Kind != fault.Invalid || f.Field != field {
		t.Errorf("%s that is missing or none is met with %v", field, err)
	}
}

// dialer asks a Dialer for clients: the same one for the same secrets of the same entry, and another for any other.
func dialer(t *testing.T, h Harness) {
	dialer, ok := h.Adapter.(provider.Dialer)
	if !ok {
		t.Skip("everybody is reached alike")
	}
	e := normalized(t, h)[0]
	e.Tenant, e.ID = "t_1", "ve_1"
	first, err := dialer.Dial(e, h.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	again, err := dialer.Dial(e, maps.Clone(h.Secrets))
	if err != nil || again != first {
		t.Errorf("the same secrets have another client, %v", err)
	}
	for what, change := range map[string]func(){"tenant": func() { e.Tenant = "t_2" }, "entry": func() { e.ID = "ve_2" }} {
		change()
		if other, err := dialer.Dial(e, h.Secrets); err != nil || other == first {
			t.Errorf("another %s has the same client, %v", what, err)
		}
	}
	spoilt := maps.Clone(h.Secrets)
	for name := range spoilt {
		spoilt[name] = secret.New(canary)
	}
	for _, secrets := range []map[string]secret.Text{nil, spoilt} {
		if client, err := dialer.Dial(e, secrets); err == nil || client != nil {
			t.Errorf("a client is made of nothing: %v", err)
		} else {
			explained(t, "an entry without its secrets", err)
		}
	}
	if f := dialer.Explain(errors.New(canary)); f != nil {
		t.Errorf("what nobody knows is explained: %v", f)
	}
	if f := dialer.Explain(nil); f != nil {
		t.Errorf("nothing is explained: %v", f)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := first.Do(request); err == nil {
		_ = response.Body.Close()
		t.Error("an address without TLS is called")
	} else if dialer.Explain(err) == nil {
		t.Errorf("an address without TLS is met with %v", err)
	}
}
