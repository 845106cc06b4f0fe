package program

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	tenancy "connectorvault/functions/tenant/handler"
	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/worker"
	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/refresh"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/transport"
)

// TenantRequest is what the tenant function is asked, as its payload has it.
type TenantRequest struct {
	Operation    string `json:"operation"`
	Name         string `json:"name,omitempty"`
	Tenant       string `json:"tenant,omitempty"`
	Request      string `json:"request,omitempty"`
	PersonalData bool   `json:"personal_data,omitempty"`
	AtOnce       bool   `json:"at_once,omitempty"`
}

// AskTenants carries out one operation of the tenant function on a data folder, whether or not a program serves it, and
// writes the answer. A tenant that it makes is known to the programs that run; a deletion that it begins they bring to its
// end.
func AskTenants(ctx context.Context, o Options, ask TenantRequest, stdout, stderr io.Writer) (err error) {
	if ask.Operation == "delete" && ask.Tenant == Tenant {
		return errors.New("this is the program's own tenant; to be rid of it, remove the data folder")
	}
	// Only what makes a tenant may make the vault that it is in. Elsewhere the folder's name is a mistake.
	_, statErr := os.Stat(filepath.Join(o.Data, sqlitestore.StoreFile))
	if ask.Operation != "create" && errors.Is(statErr, fs.ErrNotExist) {
		return fmt.Errorf("there is no vault in %s", o.Data)
	}
	if err := makeFolder(o.Data); err != nil {
		return err
	}
	steps, err := clock.Open(filepath.Join(o.Data, "clock"))
	if err != nil {
		return err
	}
	items, queue, err := sqlitestore.OpenFolder(ctx, sqlitestore.FolderConfig{Path: o.Data, Now: steps.Now, Random: rand.Reader})
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be used: %w", o.Data, err)
	}
	defer func() { err = errors.Join(err, items.Close(), queue.Close()) }()
	endpoints, known, err := providersOf(o)
	if err != nil {
		return err
	}
	if ask.Operation == "delete" && !known {
		// A token of a simulator must never be sent to the provider that it plays.
		_, _ = fmt.Fprintln(stderr, "No ready file says where the providers of this folder are: none is told of the deletion.")
		ask.AtOnce = true
	}

	var service *refresh.Service
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	client := transport.Client()
	endpoints.HTTP = client
	b := bundle.New(bundle.Parts{Items: items, Due: items, Secrets: items, Catalog: catalog.New(endpoints), HTTP: client, Now: steps.Now,
		Random: rand.Reader, Logger: logger,
		Invoke: func(ctx context.Context, call tokens.Call) (tokens.Answer, error) { return service.Do(ctx, call) },
		Enqueue: func(ctx context.Context, provider string, calls []tokens.Call) error {
			return worker.Send(ctx, queue, worker.Due(provider), steps.Now(), calls...)
		},
	})
	service = b.Refresh()
	return askUntilDone(ctx, tenancy.New(b.Tenants(), logger), ask, stdout)
}

// askUntilDone asks on as long as a deletion has more to do than one invocation may.
func askUntilDone(ctx context.Context, h *tenancy.Handler, ask TenantRequest, stdout io.Writer) error {
	payload, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	for {
		answer, err := h.Handle(ctx, payload)
		if err != nil {
			return err
		}
		if refusal, refused := answer.(tenancy.Refusal); refused {
			f := refusal.Error
			return errors.New(f.Detail + " " + f.Action)
		}
		body, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		var deletion struct {
			Remaining int             `json:"remaining"`
			Problem   json.RawMessage `json:"problem"`
		}
		if err := json.Unmarshal(body, &deletion); err != nil {
			return err
		}
		if deletion.Remaining == 0 || deletion.Problem != nil {
			_, err = fmt.Fprintf(stdout, "%s\n", body)
			return err
		}
	}
}

// providersOf reads from the ready file where the providers are that the folder's entries are connected to; known is
// false when no program has left one.
func providersOf(o Options) (endpoints catalog.Options, known bool, err error) {
	path := o.ReadyFile
	if path == "" {
		path = filepath.Join(o.Data, "ready.json")
	}
	body, err := os.ReadFile(path)
	if o.ReadyFile == "" && errors.Is(err, fs.ErrNotExist) {
		return endpoints, false, nil
	}
	var ready struct {
		Simulators catalog.Options `json:"simulators"`
	}
	if err == nil {
		err = json.Unmarshal(body, &ready)
	}
	if err == nil {
		err = ready.Simulators.Validate()
	}
	if err != nil {
		return endpoints, false, fmt.Errorf("the ready file cannot be used: %w", err)
	}
	return ready.Simulators, true, nil
}
