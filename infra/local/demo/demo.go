// Package demo walks through the main job as a newcomer would, over HTTP and in the open: it starts the local program
// as a process of its own, connects two simulated seller accounts through both doors a simulated Sage account and a simulated Clara project, reads
// their data, lets an hour pass, restarts the program and reads again.
//
// It uses nothing but the public API and the pages, so it is also the shortest description of both.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

// Config is what the demo needs.
type Config struct {
	Program string    // the local program
	Env     []string  // added to its environment
	Data    string    // folder to use and keep; "" = a temporary one
	Out     io.Writer // what a person reads
	Log     io.Writer // the program's own messages
	Place   *Place    // where the bundle runs already; nil = the program is started
}

// Place is a bundle that runs already, elsewhere than in the local program, with simulated providers.
type Place struct {
	URL, OwnerKey string
	Controls      map[string]string // where simulators are steered that have an address of their own for it
	Transport     http.RoundTripper
	Pass          func(ctx context.Context, d time.Duration) error // lets time pass
	Restart       func(ctx context.Context) error
}

// Run shows the main job. An error says at which step it stopped.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Data == "" && cfg.Place == nil {
		cfg.Data, err = os.MkdirTemp("", "connector-vault-demo-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.Data)) }()
	}
	d := &demo{Config: cfg}
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Register the application that you have at Amazon", d.registerApp},
		{"Create a vault entry for a seller account", d.createFirst},
		{"Connect it in the browser", d.connectInBrowser},
		{"Connect a second account by pasting the Result URL", d.connectByPasting},
		{"Create a connector and read orders, two pages", d.readOrders},
		{"Read the stock in Amazon's warehouses", d.readInventory},
		{"Ask for a report and read its document", d.readReport},
		{"Create a vault entry for a Sage account, and connect it", d.connectSage},
		{"Create a connector for one business and read its books", d.readBooks},
		{"Create a vault entry for a Clara project from its download, and read", d.connectClara},
		{"Let an hour pass and read again", d.readAnHourLater},
		{"Restart the program on the same data and read again", d.readAfterRestart},
	} {
		d.step++
		d.say("\n%d. %s", d.step, step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("step %d, %s: %w", d.step, strings.ToLower(step.title[:1])+step.title[1:], err)
		}
	}
	d.say("\nThat is the main job. To keep going: go run ./infra/local")
	return nil
}

// demo is what is known so far.
type demo struct {
	Config
	step      int
	server    *server
	first     entry
	second    entry
	connector string
	order     string // id of the first order, to be found again
	ledger    entry
	books     string // connector of a business
	contact   string // id of the first contact, to be found again
}

type entry struct {
	ID       string `json:"id"`
	Alias    string `json:"alias"`
	Status   string `json:"status"`
	Identity string `json:"identity"`
	Account  struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Members []struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"members"`
	} `json:"account"`
	Token struct {
		Generation int       `json:"generation"`
		ExpiresAt  time.Time `json:"expires_at"`
	} `json:"token"`
}

type page struct {
	Items []map[string]any `json:"items"`
	Next  *string          `json:"next_cursor"`
}

type object = map[string]any

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.Out, format+"\n", args...) }

func (d *demo) start(ctx context.Context) (err error) {
	if d.Place != nil {
		d.server = d.Place.server()
	} else {
		d.server, err = startServer(ctx, d.Config)
	}
	if err == nil {
		d.say("The bundle runs at %s, with a simulated Amazon, Sage and Clara beside it.", d.server.ready.URL)
	}
	return err
}

func (d *demo) stop() error {
	if d.server == nil {
		return nil
	}
	return d.server.stop()
}

func (d *demo) registerApp(ctx context.Context) error {
	var app struct {
		SecretExpires time.Time `json:"client_secret_expires_at"`
	}
	err := d.server.call(ctx, "PUT", "/v1/provider-apps/amazon", object{"application_id": amazonsim.SeededApplicationID,
		"client_id": amazonsim.SeededClientID, "client_secret": amazonsim.SeededClientSecret}, &app)
	if err == nil {
		d.say("   PUT /v1/provider-apps/amazon: registered; its client secret is taken to end on %s.", app.SecretExpires.Format(time.DateOnly))
	}
	return err
}

func (d *demo) createFirst(ctx context.Context) error {
	return d.create(ctx, &d.first, object{"provider": "amazon", "alias": "US store", "environment": "production", "region": "na", "marketplace": "US"})
}

func (d *demo) create(ctx context.Context, into *entry, body object) error {
	if err := d.server.call(ctx, "POST", "/v1/vault-entries", body, into); err != nil {
		return err
	}
	d.say("   POST /v1/vault-entries: %q is %s, id %s.", into.Alias, into.Status, into.ID)
	return nil
}

func (d *demo) connectInBrowser(ctx context.Context) error {
	return d.consent(ctx, &d.first, "Seller Central")
}

// consent does what a person with a browser does: open the start page, press Continue, sign in, confirm.
func (d *demo) consent(ctx context.Context, e *entry, where string) error {
	var begun struct {
		StartURL string `json:"start_url"`
	}
	if err := d.server.call(ctx, "POST", "/v1/vault-entries/"+e.ID+"/authorize", object{"mode": "browser"}, &begun); err != nil {
		return err
	}
	d.say("   POST …/authorize {\"mode\": \"browser\"}: a start page, for one use.")
	b := newBrowser(d.server.client.Transport)
	if err := b.open(ctx, begun.StartURL); err != nil {
		return err
	}
	d.say("   The start page names what is being connected: %q. Continue.", b.heading())
	if err := b.submit(ctx); err != nil {
		return err
	}
	d.say("   %s shows %q. Signed in, confirmed.", where, b.heading())
	if err := b.submit(ctx); err != nil {
		return err
	}
	d.say("   Back through the redirect: %q.", b.heading())
	return d.active(ctx, e)
}

// connectByPasting does what a person does whose browser is elsewhere.
func (d *demo) connectByPasting(ctx context.Context) error {
	err := d.create(ctx, &d.second, object{"provider": "amazon", "alias": "German store", "environment": "production", "marketplace": "DE"})
	if err != nil {
		return err
	}
	var begun struct {
		URL string `json:"oauth_request_url"`
	}
	if err := d.server.call(ctx, "POST", "/v1/vault-entries/"+d.second.ID+"/authorize", object{"mode": "result_url"}, &begun); err != nil {
		return err
	}
	request, err := url.Parse(begun.URL)
	if err != nil {
		return err
	}
	d.say("   POST …/authorize {\"mode\": \"result_url\"}: the OAuth Request URL, at %s%s.", request.Host, request.Path)
	b := newBrowser(d.server.client.Transport)
	if err := b.open(ctx, begun.URL); err != nil {
		return err
	}
	if err := b.submit(ctx); err != nil {
		return err
	}
	d.say("   After consent the browser shows %q: copy its address.", b.heading())
	err = d.server.call(ctx, "POST", "/v1/vault-entries/"+d.second.ID+"/validate", object{"result_url": b.address()}, &d.second)
	if err != nil {
		return err
	}
	d.say("   POST …/validate {\"result_url\": …}: validated.")
	return d.active(ctx, &d.second)
}

func (d *demo) active(ctx context.Context, e *entry) error {
	if err := d.server.call(ctx, "GET", "/v1/vault-entries/"+e.ID, nil, e); err != nil {
		return err
	}
	if e.Status != "active" {
		return fmt.Errorf("the vault entry is %s instead of active", e.Status)
	}
	d.say("   %q is %s: account %s, %s (%s).", e.Alias, e.Status, e.Account.ID, e.Account.Name, e.Identity)
	return nil
}

func (d *demo) readOrders(ctx context.Context) error {
	var connector struct {
		ID string `json:"id"`
	}
	err := d.server.call(ctx, "POST", "/v1/connectors", object{"name": "Orders for the warehouse", "vault_entry": d.first.ID}, &connector)
	if err != nil {
		return err
	}
	d.connector = connector.ID
	d.say("   POST /v1/connectors: %s.", d.connector)
	var one, two page
	if err := d.read(ctx, "orders?limit=10", &one); err != nil {
		return err
	}
	if len(one.Items) == 0 || one.Next == nil {
		return errors.New("the first page of orders is the only one, or empty")
	}
	d.order = text(one.Items[0], "orderId")
	d.say("   GET …/orders?limit=10: %d orders, the first is %s of %s.", len(one.Items), d.order, text(one.Items[0], "createdTime"))
	if err := d.read(ctx, "orders?limit=10&cursor="+url.QueryEscape(*one.Next), &two); err != nil {
		return err
	}
	if len(two.Items) == 0 || text(two.Items[0], "orderId") == d.order {
		return errors.New("the second page of orders is empty or is the first again")
	}
	d.say("   GET …/orders?limit=10&cursor=…: %d more, beginning with %s.", len(two.Items), text(two.Items[0], "orderId"))
	return nil
}

func (d *demo) readInventory(ctx context.Context) error {
	var p page
	if err := d.read(ctx, "inventory", &p); err != nil {
		return err
	}
	if len(p.Items) == 0 {
		return errors.New("there is no stock")
	}
	d.say("   GET …/inventory: %d SKUs, the first is %s with %v pieces.", len(p.Items), text(p.Items[0], "sellerSku"), p.Items[0]["totalQuantity"])
	return nil
}

func (d *demo) readReport(ctx context.Context) error {
	var made page
	err := d.server.call(ctx, "POST", "/v1/connectors/"+d.connector+"/reports", object{"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"}, &made)
	if err != nil {
		return err
	}
	if len(made.Items) != 1 {
		return errors.New("the report has no id")
	}
	id := text(made.Items[0], "reportId")
	d.say("   POST …/reports: Amazon makes report %s.", id)
	for range 20 {
		var p page
		if err := d.read(ctx, "reports/"+id, &p); err != nil {
			return err
		}
		status := text(p.Items[0], "processingStatus")
		if status == "DONE" {
			break
		}
		d.say("   GET …/reports/%s: %s. A minute passes on the stepped clock.", id, status)
		if err := d.pass(ctx, time.Minute); err != nil {
			return err
		}
	}
	body, err := d.server.bytes(ctx, "/v1/connectors/"+d.connector+"/reports/"+id+"/document")
	if err != nil {
		return err
	}
	head, _, _ := strings.Cut(string(body), "\n")
	columns := strings.Split(strings.TrimSpace(head), "\t")
	d.say("   GET …/reports/%s/document: %d bytes, columns %s, …", id, len(body), strings.Join(columns[:min(4, len(columns))], ", "))
	return nil
}

func (d *demo) readAnHourLater(ctx context.Context) error {
	if err := d.pass(ctx, time.Hour); err != nil {
		return err
	}
	if err := d.sameOrder(ctx); err != nil {
		return err
	}
	if err := d.refreshed(ctx, &d.first); err != nil {
		return err
	}
	if err := d.sameContact(ctx); err != nil {
		return err
	}
	return d.refreshed(ctx, &d.ledger)
}

func (d *demo) refreshed(ctx context.Context, e *entry) error {
	before := e.Token.Generation
	if err := d.server.call(ctx, "GET", "/v1/vault-entries/"+e.ID, nil, e); err != nil {
		return err
	}
	if e.Token.Generation <= before {
		return errors.New("the token was not refreshed")
	}
	d.say("   The access token of %q was refreshed: generation %d, it lives until %s.", e.Alias, e.Token.Generation, e.Token.ExpiresAt.Format(time.TimeOnly))
	return nil
}

func (d *demo) readAfterRestart(ctx context.Context) error {
	if err := d.server.stop(); err != nil {
		return err
	}
	if d.Place != nil {
		if err := d.Place.Restart(ctx); err != nil {
			return err
		}
	}
	d.say("   The program has stopped.")
	if err := d.start(ctx); err != nil {
		return err
	}
	return errors.Join(d.sameOrder(ctx), d.sameContact(ctx))
}

// sameOrder reads the first order again by its id.
func (d *demo) sameOrder(ctx context.Context) error {
	var p page
	if err := d.read(ctx, "orders/"+d.order, &p); err != nil {
		return err
	}
	if len(p.Items) != 1 || text(p.Items[0], "orderId") != d.order {
		return errors.New("the order is another one")
	}
	d.say("   GET …/orders/%s: it is there.", d.order)
	return nil
}

func (d *demo) read(ctx context.Context, what string, into *page) error {
	return d.readOf(ctx, d.connector, what, into)
}

func (d *demo) readOf(ctx context.Context, connector, what string, into *page) error {
	return d.server.call(ctx, "GET", "/v1/connectors/"+connector+"/"+what, nil, into)
}

func (d *demo) pass(ctx context.Context, step time.Duration) error {
	if d.Place != nil {
		return d.Place.Pass(ctx, step)
	}
	return d.server.call(ctx, "POST", "/local/clock", object{"advance": step.String()}, nil)
}

func text(item map[string]any, name string) string {
	s, _ := item[name].(string)
	return s
}
