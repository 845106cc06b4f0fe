package program

import (
	"context"
	"net"
	"net/http"
	"time"

	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// Tenant is this program's own tenant, which its owner's key is for. Others can be made beside it.
const Tenant = "t_1000000000000000"

// Processes is the folder of a data folder that says which processes serve it.
const Processes = "processes"

// Options say how the program runs. The first part are its flags; the zero value of the rest is the program that people
// run.
type Options struct {
	Listen       string   // address to serve on; port 0 takes a free one
	Data         string   // folder that keeps everything between runs; made when missing
	Simulators   bool     // run simulated providers and use them instead of the real ones
	Endpoints    string   // file with addresses that replace providers' own
	Providers    []string // those at which accounts may be connected; nil = all
	OIDC         string   // file that says whose tokens let in
	AmazonModels string   // folder of Amazon's OpenAPI files
	Clock        bool     // take POST /local/clock
	ByHand       bool     // with Clock: what happens by itself happens when POST /local/schedule asks for it, and only then
	ReadyFile    string   // "": ready.json in Data
	Verbose      bool
	Metrics      string // file to which the lines of metrics are added; "" = none

	LoopbackWebhooks bool // webhooks may lead to this machine's loopback addresses

	DynamoDB *DynamoDB // where the items lie instead of in Data; secrets and queues stay there
	Hooks    Hooks

	// The token service's budgets, and how often the worker looks at its queues and the schedule; 0 = their defaults.
	PostTimeout    time.Duration
	StoreBudget    time.Duration
	RescueInterval time.Duration
	Tick           time.Duration
}

// DynamoDB is an engine that speaks its protocol, without credentials worth the name, and the tables that whoever
// started it has made there.
type DynamoDB struct {
	URL    string                 `json:"url"`
	Tables map[store.Table]string `json:"tables"`
}

// Hooks stand around what a fault may come between. A nil one is not there.
type Hooks struct {
	Items     func(store.Items) store.Items
	Secrets   func(store.Secrets) store.Secrets
	Forms     store.Forms                               // of another version
	URL       string                                    // where browsers and callers reach it; "": where it listens
	Transport func(http.RoundTripper) http.RoundTripper // to token endpoints and providers' APIs
	Rescue    func(Rescue) Rescue
	Resolver  *net.Resolver // that looks up where webhooks lead
}

// Rescue sends a sealed answer to the rescue queue.
type Rescue func(ctx context.Context, call tokens.Call) error
