package amazonsim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// How long a report takes, and how long it is kept (Amazon facts 7.3, 13). Amazon's own times vary from seconds to
// hours; these are short so that a person at the console sees every state.
const (
	reportQueued   = 5 * time.Second
	reportWorks    = 10 * time.Second
	reportsKept    = 90 * 24 * time.Hour
	settlementSpan = 14 * 24 * time.Hour
	maxReportTypes = 10
	settlementType = "GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2"
	settlementMark = "settlement-"
)

// Processing statuses of reports and feeds (Amazon facts 7.3).
const (
	processQueued    = "IN_QUEUE"
	processRunning   = "IN_PROGRESS"
	processDone      = "DONE"
	processCancelled = "CANCELLED"
	processFatal     = "FATAL"
)

var reportTypePattern = regexp.MustCompile(`^GET_[A-Z0-9_]{3,100}$`)

// reportSpec is what createReport takes.
type reportSpec struct {
	ReportType    string            `json:"reportType"`
	Marketplaces  []string          `json:"marketplaceIds"`
	DataStartTime string            `json:"dataStartTime,omitempty"`
	DataEndTime   string            `json:"dataEndTime,omitempty"`
	Options       map[string]string `json:"reportOptions,omitempty"`
}

// report is a report as it is kept, or as it is computed where Amazon makes it by itself.
type report struct {
	id, owner, documentID string
	spec                  reportSpec
	created, cancelled    time.Time
	outcome               string // how it ends
	byAmazon              bool   // scheduled by Amazon and done from the start
}

// createReport queues a report.
func (s *Simulator) createReport(ctx context.Context, c *call) (reply, error) {
	var spec reportSpec
	if err := json.Unmarshal(c.body, &spec); err != nil {
		return reply{}, invalidReport("The request body is not valid.")
	}
	if err := s.checkReport(c, spec); err != nil {
		return reply{}, err
	}
	outcome, err := s.reportOutcome(ctx, c, spec)
	if err != nil {
		return reply{}, err
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		return reply{}, fmt.Errorf("encoding a report: %w", err)
	}
	id := strconv.Itoa(50_000_000_000 + roll(s.uuid()).below(9_999_999_999))
	document := "amzn1.spdoc.1.4." + c.region + "." + s.uuid()
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO reports(id, owner, document_id, spec, created_at, outcome, cancelled_at)
			VALUES(?, ?, ?, ?, ?, ?, 0)`, id, c.owner(), document, string(encoded), c.now.UnixMilli(), outcome)
		return err
	})
	if err != nil {
		return reply{}, fmt.Errorf("storing a report: %w", err)
	}
	return reply{status: http.StatusAccepted, body: map[string]string{"reportId": id}}, nil
}

func (s *Simulator) checkReport(c *call, spec reportSpec) error {
	switch {
	case !reportTypePattern.MatchString(spec.ReportType):
		return invalidReport("reportType is unknown.")
	case strings.HasPrefix(spec.ReportType, "GET_V2_SETTLEMENT_"):
		return invalidReport("Settlement reports are scheduled by Amazon and cannot be requested.")
	case len(spec.Marketplaces) < 1 || len(spec.Marketplaces) > 25:
		return invalidReport("marketplaceIds must hold 1 to 25 marketplaces.")
	}
	start, end, err := spec.window(c.now)
	if err != nil {
		return err
	}
	if end.Before(start) {
		return invalidReport("dataEndTime is before dataStartTime.")
	}
	return s.checkMarketplaces(c, spec.Marketplaces)
}

// window is the time the report is about: the last 30 days unless it says otherwise.
func (spec reportSpec) window(created time.Time) (start, end time.Time, err error) {
	start, end = created.Add(-30*24*time.Hour), created
	for text, bound := range map[string]*time.Time{spec.DataStartTime: &start, spec.DataEndTime: &end} {
		if text == "" {
			continue
		}
		t, valid := parseTime(text)
		if !valid {
			return start, end, invalidReport("A date is not in ISO 8601 format.")
		}
		*bound = t
	}
	return start, end, nil
}

// reportOutcome decides when the report is made how it will end. One that can hold no data is cancelled (Amazon
// facts 7.3).
func (s *Simulator) reportOutcome(ctx context.Context, c *call, spec reportSpec) (string, error) {
	for name, outcome := range map[string]string{FaultReportCancelled: processCancelled, FaultReportFatal: processFatal} {
		_, on, err := s.fire(ctx, name, c.where)
		if err != nil || on {
			return outcome, err
		}
	}
	if start, _, _ := spec.window(c.now); start.After(c.now) { // checked before
		return processCancelled, nil
	}
	return processDone, nil
}

// status is where a report stands at a time.
func (r report) status(at time.Time) string {
	age := at.Sub(r.created)
	switch {
	case !r.cancelled.IsZero():
		return processCancelled
	case r.byAmazon || age >= reportQueued+reportWorks:
		return r.outcome
	case age >= reportQueued:
		return processRunning
	}
	return processQueued
}

func (r report) body(at time.Time) map[string]any {
	body := map[string]any{
		"reportId": r.id, "reportType": r.spec.ReportType, "marketplaceIds": r.spec.Marketplaces,
		"createdTime": reportTime(r.created), "processingStatus": r.status(at),
	}
	start, end, _ := r.spec.window(r.created) // checked when it was made
	body["dataStartTime"], body["dataEndTime"] = reportTime(start), reportTime(end)
	switch status := r.status(at); {
	case status == processRunning:
		body["processingStartTime"] = reportTime(r.created.Add(reportQueued))
	case status != processQueued && r.cancelled.IsZero():
		body["processingStartTime"] = reportTime(r.created.Add(reportQueued))
		body["processingEndTime"] = reportTime(r.created.Add(reportQueued + reportWorks))
		if status == processDone {
			body["reportDocumentId"] = r.documentID
		}
	}
	return body
}

// reportTime prints a time as the Reports API does.
func reportTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }

// getReport shows one report.
func (s *Simulator) getReport(ctx context.Context, c *call) (reply, error) {
	r, err := s.reportByID(ctx, c, c.vars["reportId"])
	if err != nil {
		return reply{}, err
	}
	return ok(r.body(c.now)), nil
}

// cancelReport cancels what has not begun.
func (s *Simulator) cancelReport(ctx context.Context, c *call) (reply, error) {
	r, err := s.reportByID(ctx, c, c.vars["reportId"])
	if err != nil {
		return reply{}, err
	}
	if r.status(c.now) != processQueued {
		return reply{}, invalidReport("Only a report that is IN_QUEUE can be cancelled.")
	}
	_, err = s.state.ExecContext(ctx, `UPDATE reports SET cancelled_at = ? WHERE id = ?`, c.now.UnixMilli(), r.id)
	return reply{status: http.StatusOK, noBody: true}, err
}

// reportByID finds a report of the caller, stored or made by Amazon.
func (s *Simulator) reportByID(ctx context.Context, c *call, id string) (report, error) {
	for _, r := range settlements(c) {
		if r.id == id {
			return r, nil
		}
	}
	r, err := scanReport(s.state.QueryRowContext(ctx, selectReport+` WHERE id = ? AND owner = ?`, id, c.owner()).Scan)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && c.now.Sub(r.created) > reportsKept) {
		return report{}, errResourceNotFound
	}
	return r, err
}

const selectReport = `SELECT id, owner, document_id, spec, created_at, outcome, cancelled_at FROM reports`

func scanReport(scan func(...any) error) (report, error) {
	var r report
	var spec string
	var created, cancelled int64
	if err := scan(&r.id, &r.owner, &r.documentID, &spec, &created, &r.outcome, &cancelled); err != nil {
		return r, fmt.Errorf("reading a report: %w", err)
	}
	r.created = time.UnixMilli(created)
	if cancelled != 0 {
		r.cancelled = time.UnixMilli(cancelled)
	}
	if err := json.Unmarshal([]byte(spec), &r.spec); err != nil {
		return r, fmt.Errorf("decoding a report: %w", err)
	}
	return r, nil
}

// settlements are the reports that Amazon makes by itself, one in two weeks and marketplace (Amazon facts 7.3).
func settlements(c *call) []report {
	var list []report
	for _, m := range c.seller.marketplacesIn(c.region) {
		for period := c.now.Unix() / int64(settlementSpan.Seconds()); ; period-- {
			created := time.Unix(period*int64(settlementSpan.Seconds()), 0)
			if c.now.Sub(created) > reportsKept {
				break
			}
			id := strconv.Itoa(40_000_000_000 + roll("settlement", c.seller.ID, m.id, strconv.FormatInt(period, 10)).below(9_999_999_999))
			list = append(list, report{
				id: id, owner: c.owner(), documentID: computedDocument(c, settlementMark, id),
				spec: reportSpec{
					ReportType: settlementType, Marketplaces: []string{m.id},
					DataStartTime: stamp(created.Add(-settlementSpan)), DataEndTime: stamp(created),
				},
				created: created, outcome: processDone, byAmazon: true,
			})
		}
	}
	return list
}

// getReports lists reports, newest first (Amazon facts 7.1).
func (s *Simulator) getReports(ctx context.Context, c *call) (reply, error) {
	at, err := s.resume(ctx, c, listPaging)
	if err != nil {
		return reply{}, err
	}
	filter, err := readProcessFilter(c, "reportTypes")
	if err != nil {
		return reply{}, err
	}
	all, err := s.reportsOf(ctx, c)
	if err != nil {
		return reply{}, err
	}
	all = slices.DeleteFunc(all, func(r report) bool {
		return !filter.keeps(r.spec.ReportType, r.status(at.asOf()), r.spec.Marketplaces, r.created, at.asOf())
	})
	found, next, err := pageOf(ctx, s, c, listPaging, at, all, filter.size)
	if err != nil {
		return reply{}, err
	}
	list := make([]map[string]any, 0, len(found))
	for _, r := range found {
		list = append(list, r.body(at.asOf()))
	}
	body := map[string]any{"reports": list}
	if next != "" {
		body["nextToken"] = next
	}
	return ok(body), nil
}

func (s *Simulator) reportsOf(ctx context.Context, c *call) ([]report, error) {
	rows, err := s.state.QueryContext(ctx, selectReport+` WHERE owner = ?`, c.owner())
	made, err := engine.Collect(rows, err, scanReport)
	if err != nil {
		return nil, fmt.Errorf("listing reports: %w", err)
	}
	list := append(settlements(c), made...)
	slices.SortFunc(list, func(a, b report) int {
		if order := b.created.Compare(a.created); order != 0 {
			return order
		}
		return strings.Compare(a.id, b.id)
	})
	return list, nil
}

// processFilter is the filter that lists of reports and feeds share.
type processFilter struct {
	types, statuses, marketplaces []string
	since, until                  time.Time
	size                          int
}

func readProcessFilter(c *call, typesParameter string) (processFilter, error) {
	f := processFilter{
		types: csv(c.query, typesParameter), statuses: csv(c.query, "processingStatuses"), marketplaces: csv(c.query, "marketplaceIds"),
		since: c.now.Add(-reportsKept), until: c.now,
	}
	if len(f.types) < 1 || len(f.types) > maxReportTypes {
		return f, invalidReport(typesParameter + " must hold 1 to 10 types, or nextToken be given.")
	}
	known := []string{processCancelled, processDone, processFatal, processRunning, processQueued}
	for _, status := range f.statuses {
		if !slices.Contains(known, status) {
			return f, invalidReport("processingStatuses has an unknown value.")
		}
	}
	for name, bound := range map[string]*time.Time{"createdSince": &f.since, "createdUntil": &f.until} {
		if text := c.query.Get(name); text != "" {
			t, valid := parseTime(text)
			if !valid {
				return f, invalidReport(name + " is not in ISO 8601 format.")
			}
			*bound = t
		}
	}
	var err error
	f.size, err = pageSize(c.query, "pageSize", 10, 100)
	return f, err
}

func (f processFilter) keeps(kind, status string, marketplaces []string, created, asOf time.Time) bool {
	return slices.Contains(f.types, kind) && (len(f.statuses) == 0 || slices.Contains(f.statuses, status)) &&
		(len(f.marketplaces) == 0 || slices.ContainsFunc(marketplaces, func(id string) bool { return slices.Contains(f.marketplaces, id) })) &&
		!created.Before(f.since) && !created.After(f.until) && !created.After(asOf)
}

// getReportSchedules shows one schedule: a daily inventory report.
func (s *Simulator) getReportSchedules(_ context.Context, c *call) (reply, error) {
	types := csv(c.query, "reportTypes")
	if len(types) < 1 || len(types) > maxReportTypes {
		return reply{}, invalidReport("reportTypes must hold 1 to 10 types.")
	}
	list := []map[string]any{}
	if schedule := scheduleOf(c); slices.Contains(types, "GET_AFN_INVENTORY_DATA") {
		list = append(list, schedule)
	}
	return ok(map[string]any{"reportSchedules": list}), nil
}

func scheduleOf(c *call) map[string]any {
	var ids []string
	for _, m := range c.seller.marketplacesIn(c.region) {
		ids = append(ids, m.id)
	}
	return map[string]any{
		"reportScheduleId": strconv.Itoa(60_000_000_000 + roll("schedule", c.seller.ID, c.region).below(9_999_999_999)),
		"reportType":       "GET_AFN_INVENTORY_DATA", "marketplaceIds": ids, "period": "P1D",
		"nextReportCreationTime": reportTime(c.now.Truncate(24 * time.Hour).Add(24 * time.Hour)),
	}
}

func (s *Simulator) getReportSchedule(_ context.Context, c *call) (reply, error) {
	schedule := scheduleOf(c)
	if schedule["reportScheduleId"] != c.vars["reportScheduleId"] {
		return reply{}, errResourceNotFound
	}
	return ok(schedule), nil
}
