package amazonsim

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// feedSpan is how often the seller's other tools sent a feed: often enough for three pages of ten.
const (
	feedSpan = 48 * time.Hour
	feedType = "JSON_LISTINGS_FEED"
	feedMark = "feed-"
)

// feed is a feed that some tool of the seller's sent. This simulator takes none itself: it is for reading.
type feed struct {
	id, documentID string
	marketplaces   []string
	created        time.Time
}

func feedsOf(c *call) []feed {
	var ids []string
	for _, m := range c.seller.marketplacesIn(c.region) {
		ids = append(ids, m.id)
	}
	var list []feed
	for slot := c.now.Unix() / int64(feedSpan.Seconds()); ; slot-- {
		created := time.Unix(slot*int64(feedSpan.Seconds()), 0)
		if c.now.Sub(created) > reportsKept {
			return list
		}
		id := strconv.Itoa(70_000_000_000 + roll("feed", c.seller.ID, c.region, strconv.FormatInt(slot, 10)).below(9_999_999_999))
		list = append(list, feed{id: id, documentID: computedDocument(c, feedMark, id), marketplaces: ids, created: created})
	}
}

func (f feed) status(at time.Time) string {
	switch age := at.Sub(f.created); {
	case age >= reportQueued+reportWorks:
		return processDone
	case age >= reportQueued:
		return processRunning
	}
	return processQueued
}

func (f feed) body(at time.Time) map[string]any {
	body := map[string]any{
		"feedId": f.id, "feedType": feedType, "marketplaceIds": f.marketplaces, "createdTime": reportTime(f.created),
		"processingStatus": f.status(at),
	}
	if f.status(at) == processDone {
		body["processingStartTime"] = reportTime(f.created.Add(reportQueued))
		body["processingEndTime"] = reportTime(f.created.Add(reportQueued + reportWorks))
		body["resultFeedDocumentId"] = f.documentID
	}
	return body
}

// getFeeds lists feeds, newest first.
func (s *Simulator) getFeeds(ctx context.Context, c *call) (reply, error) {
	at, err := s.resume(ctx, c, listPaging)
	if err != nil {
		return reply{}, err
	}
	filter, err := readProcessFilter(c, "feedTypes")
	if err != nil {
		return reply{}, err
	}
	all := slices.DeleteFunc(feedsOf(c), func(f feed) bool {
		return !filter.keeps(feedType, f.status(at.asOf()), f.marketplaces, f.created, at.asOf())
	})
	found, next, err := pageOf(ctx, s, c, listPaging, at, all, filter.size)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, f := range found {
		list = append(list, f.body(at.asOf()))
	}
	body := map[string]any{"feeds": list}
	if next != "" {
		body["nextToken"] = next
	}
	return ok(body), nil
}

func (s *Simulator) getFeed(_ context.Context, c *call) (reply, error) {
	list := feedsOf(c)
	i := slices.IndexFunc(list, func(f feed) bool { return f.id == c.vars["feedId"] })
	if i < 0 {
		return reply{}, errResourceNotFound
	}
	return ok(list[i].body(c.now)), nil
}

// getFeedDocument gives the address of a feed's processing report.
func (s *Simulator) getFeedDocument(ctx context.Context, c *call) (reply, error) {
	id := c.vars["feedDocumentId"]
	if !slices.ContainsFunc(feedsOf(c), func(f feed) bool { return f.documentID == id }) {
		return reply{}, errResourceNotFound
	}
	return s.documentReply(ctx, c, "feedDocumentId", document{id: id, kind: feedType, seller: c.seller})
}
