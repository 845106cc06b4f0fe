package record

import (
	"encoding/json"
	"time"
)

// Mode is how an authorization request may be completed.
type Mode string

// The doors (design, "Connecting an account").
const (
	Browser      Mode = "browser"
	ResultURL    Mode = "result_url"
	Appstore     Mode = "appstore"
	RefreshToken Mode = "refresh_token"
)

// Stage is how far an authorization request has come.
type Stage string

// The stages.
const (
	Open       Stage = "open"       // waiting for the browser, or for the Result URL
	Started    Stage = "started"    // browser door: Continue was pressed and the cookie is set
	Superseded Stage = "superseded" // a newer request took its place
	Taken      Stage = "taken"      // claimed; the code is being exchanged
	Exchanged  Stage = "exchanged"  // tokens are sealed into it; the account is not yet identified
	Done       Stage = "done"       // Entry is authorized
	Failed     Stage = "failed"     // ended without; Failure says why
)

// Request is one authorization request.
type Request struct {
	Tenant        string
	ID            string
	Entry         string
	Provider      string
	Principal     string // who began it
	Mode          Mode
	RedirectURI   string
	StateHash     string // fingerprint of the state's secret part; "" until the consent URL is made
	HandleHash    string // browser door: of the start handle's
	CookieHash    string // browser door: of the cookie's
	Verifier      []byte // sealed PKCE verifier
	Challenge     string // what the provider's page is told of it
	Stage         Stage
	CodeHash      string            // of the code that claimed it
	Claims        map[string]string // what the callback said besides the code
	ClaimedBy     string
	ClaimedUntil  time.Time
	Attempts      int64           // exchanges begun
	Sealed        []byte          // token set, once exchanged
	Failure       json.RawMessage // the answer to give again once Failed
	Callback      string          // Appstore door: where to send the browser
	CallbackState string          // Appstore door: amazon_state
	Account       string          // Appstore door: whose visit it was; a claim
	Beta          bool
	CreatedAt     time.Time
	Expires       time.Time
}
