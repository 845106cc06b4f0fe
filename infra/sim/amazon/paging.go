package amazonsim

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// pagingRule is how one operation pages (Amazon facts 7.1).
type pagingRule struct {
	parameter string        // the request parameter that carries the token
	life      time.Duration // how long a token works
	free      []string      // parameters that may change from page to page
	alone     bool          // the token must be the only parameter; the first request's filters go on in force
}

// The paging rules of the operations with data of their own. A day is stated for Orders and half a minute for
// FBA inventory; for the others nothing is documented, and they get the day.
var (
	ordersPaging    = pagingRule{parameter: "paginationToken", life: 24 * time.Hour, free: []string{"maxResultsPerPage", "includedData"}}
	ordersV0Paging  = pagingRule{parameter: "NextToken", life: 24 * time.Hour, free: []string{"MaxResultsPerPage"}}
	inventoryPaging = pagingRule{parameter: "nextToken", life: 30 * time.Second}
	catalogPaging   = pagingRule{parameter: "pageToken", life: 24 * time.Hour}
	financesPaging  = pagingRule{parameter: "nextToken", life: 24 * time.Hour}
	listPaging      = pagingRule{parameter: "nextToken", life: 24 * time.Hour, alone: true}
)

// cursor is what a token stands for. AsOf freezes the data: a list must not shift under its reader.
type cursor struct {
	Offset int    `json:"offset"`
	AsOf   int64  `json:"as_of"` // Unix milliseconds
	Query  string `json:"query"` // the first request's query without the token
}

func (c cursor) asOf() time.Time { return time.UnixMilli(c.AsOf).UTC() }

var (
	errPageToken = invalidInput("The pagination token is invalid or has expired.")
	errPageQuery = invalidInput("The request parameters differ from those of the request that returned the pagination token.")
	errPageAlone = invalidReport("nextToken must be the only query parameter.")
	errPageSize  = invalidInput("The page size is out of range.")
)

// resume finds out where a list request starts. For a rule with alone it also puts the first request's query back.
func (s *Simulator) resume(ctx context.Context, c *call, rule pagingRule) (cursor, error) {
	text := c.query.Get(rule.parameter)
	plain := withoutParameters(c.query, append([]string{rule.parameter}, rule.free...))
	if text == "" {
		return cursor{AsOf: c.now.UnixMilli(), Query: plain}, nil
	}
	at, err := s.cursorByToken(ctx, c, text)
	if err != nil {
		return cursor{}, err
	}
	switch {
	case rule.alone && plain != "":
		return cursor{}, errPageAlone
	case rule.alone:
		if c.query, err = url.ParseQuery(at.Query); err != nil {
			return cursor{}, fmt.Errorf("reading a cursor: %w", err)
		}
	case plain != at.Query:
		return cursor{}, errPageQuery
	}
	return at, nil
}

func withoutParameters(query url.Values, names []string) string {
	rest := make(url.Values, len(query))
	for name, values := range query {
		if !slices.Contains(names, name) {
			rest[name] = values
		}
	}
	return rest.Encode()
}

func (s *Simulator) cursorByToken(ctx context.Context, c *call, text string) (cursor, error) {
	var at cursor
	var spec, owner string
	var expires int64
	err := s.state.QueryRowContext(ctx, `SELECT cursor, owner, expires_at FROM pages WHERE token = ?`, text).Scan(&spec, &owner, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return at, errPageToken
	}
	if err != nil {
		return at, fmt.Errorf("reading a cursor: %w", err)
	}
	if owner != c.owner()+"|"+c.op.id || c.now.UnixMilli() >= expires {
		return at, errPageToken
	}
	if err := json.Unmarshal([]byte(spec), &at); err != nil {
		return at, fmt.Errorf("decoding a cursor: %w", err)
	}
	return at, nil
}

// issuePage makes the token of the page that starts at the cursor. Its text needs escaping in a query, as Amazon's do.
func (s *Simulator) issuePage(ctx context.Context, c *call, rule pagingRule, at cursor) (string, error) {
	spec, err := json.Marshal(at)
	if err != nil {
		return "", fmt.Errorf("encoding a cursor: %w", err)
	}
	text := "+/" + base64.StdEncoding.EncodeToString(s.random.Bytes(25)) // 25 bytes end in "=="… of padding
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM pages WHERE expires_at < ?`, c.now.UnixMilli()); err != nil {
			return fmt.Errorf("forgetting old cursors: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO pages(token, owner, cursor, expires_at) VALUES(?, ?, ?, ?)`,
			text, c.owner()+"|"+c.op.id, string(spec), c.now.Add(rule.life).UnixMilli())
		if err != nil {
			return fmt.Errorf("storing a cursor: %w", err)
		}
		return nil
	})
	return text, err
}

// pageOf cuts the page at the cursor out of everything and makes the next token, "" on the last page. The switch
// for empty pages answers with none and a token that goes on at the same place (Amazon facts 7.1).
func pageOf[T any](ctx context.Context, s *Simulator, c *call, rule pagingRule, at cursor, all []T, size int) ([]T, string, error) {
	_, empty, err := s.fire(ctx, FaultEmptyPages, c.where)
	if err != nil {
		return nil, "", err
	}
	start := min(at.Offset, len(all))
	end := min(start+size, len(all))
	if empty {
		end = start
	}
	items := all[start:end]
	if end == len(all) && !empty {
		return items, "", nil
	}
	at.Offset = end
	next, err := s.issuePage(ctx, c, rule, at)
	return items, next, err
}

// pageSize reads a size parameter within 1 and most.
func pageSize(query url.Values, name string, standard, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, errPageSize
	}
	return n, nil
}

// nextToken is the usual shape {"nextToken": …}, nil on the last page so that it is left out.
func nextToken(text string) map[string]string {
	if text == "" {
		return nil
	}
	return map[string]string{"nextToken": text}
}
