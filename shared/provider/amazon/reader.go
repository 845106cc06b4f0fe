package amazon

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// connectorMarketplaces is the connector's setting that names the marketplaces it reads, as country codes or ids.
const connectorMarketplaces = "marketplaces"

// The names of filter defaults that Resolve knows. All that stand for marketplaces begin with "$marketplace": reads are
// held against the connector's by that.
const (
	defaultMarketplace  = "$marketplace"        // the first of the connector's marketplaces, else the entry's own
	defaultMarketplaces = "$marketplaces"       // the connector's marketplaces, else the entry's own
	defaultNamed        = "$marketplaces-named" // the connector's marketplaces, else none: the operation then reads all
	defaultFirstNamed   = "$marketplace-named"  // the first of the connector's marketplaces, else none
	defaultAccount      = "$account"            // the selling partner id
	defaultMonthAgo     = "$month-ago"          // 30 days ago
)

// BaseURL implements provider.Reader.
func (a *Adapter) BaseURL(entry record.Entry) string {
	return a.endpoints.api(a.home(entry).Region, entry.APIEnvironment)
}

// Resolve implements provider.Reader.
func (a *Adapter) Resolve(name string, target provider.Target, now time.Time) []string {
	named := a.named(target.Connector)
	own := []string{a.home(target.Entry).ID}
	switch name {
	case defaultMarketplace:
		return append(named, own...)[:1]
	case defaultMarketplaces:
		if len(named) > 0 {
			return named
		}
		return own
	case defaultNamed:
		return named
	case defaultFirstNamed:
		return named[:min(1, len(named))]
	case defaultAccount:
		if target.Account.ID == "" {
			return nil
		}
		return []string{target.Account.ID}
	case defaultMonthAgo:
		return []string{timestamp(now.Add(-30 * 24 * time.Hour))}
	default:
		return nil
	}
}

// named returns the connector's marketplaces as ids. One that we do not know is passed on as it is: Amazon has more
// of them than the table.
func (a *Adapter) named(connector record.Connector) []string {
	var ids []string
	for _, code := range connector.Settings[connectorMarketplaces] {
		if where, known := a.places.find(code); known {
			code = where.ID
		}
		ids = append(ids, code)
	}
	return ids
}

func timestamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// Sign implements provider.Reader: the token in its header, never in a query, and no signature (Amazon facts 5.1).
func (a *Adapter) Sign(r *http.Request, on provider.Session, _ provider.Call, now time.Time) error {
	r.Header.Set("X-Amz-Access-Token", on.Access.Reveal())
	r.Header.Set("X-Amz-Date", now.UTC().Format("20060102T150405Z"))
	r.Header.Set("User-Agent", a.agent)
	return nil
}

// Meta implements provider.Reader. The header holds the rate alone, and not on every answer (Amazon facts 5.4).
func (a *Adapter) Meta(header http.Header) (requestID string, rate float64) {
	rate, err := strconv.ParseFloat(header.Get("X-Amzn-Ratelimit-Limit"), 64)
	if err != nil || rate <= 0 || math.IsInf(rate, 0) || math.IsNaN(rate) {
		rate = 0
	}
	return header.Get("X-Amzn-Requestid"), rate
}
