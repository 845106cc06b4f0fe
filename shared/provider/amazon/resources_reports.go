package amazon

import "connectorvault/shared/resource"

// tokenAlone is the style of reports and feeds: the token must be the only parameter.
func tokenAlone() resource.Paging {
	p := nextToken("pageSize", 100)
	p.Alone = true
	return p
}

func processingStatuses() resource.Filter {
	return many("processingStatuses", "CANCELLED", "DONE", "FATAL", "IN_PROGRESS", "IN_QUEUE")
}

// What is given out of an answer that says where a document lies. The address is presigned: whoever has it can read,
// so it is for Locate alone.
const (
	reportDocumentAnswer = "{reportDocumentId,compressionAlgorithm}"
	feedDocumentAnswer   = "{feedDocumentId,compressionAlgorithm}"
	nothingButAddress    = "{none}"
)

// reportResources are the Reports API: a report is asked for, watched until it is done, and read as a document.
func reportResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "reports", Title: "Reports", Document: true,
			List: &resource.Operation{
				ID: "getReports", Path: "/reports/2021-06-30/reports", Rate: 0.0222, Burst: 10,
				Filters: []resource.Filter{
					upTo(10, told("Report types, such as GET_MERCHANT_LISTINGS_ALL_DATA.", many("reportTypes"))),
					processingStatuses(),
					upTo(10, told("Marketplace ids; the connector's, or else all.", or(defaultNamed, many("marketplaceIds")))),
					told("ISO 8601; 90 days ago at most.", one("createdSince")),
					one("createdUntil"),
				},
				OneOf:  [][]string{{"reportTypes"}},
				Paging: tokenAlone(), Items: "reports",
			},
			Item: &resource.Operation{ID: "getReport", Path: "/reports/2021-06-30/reports/{item}", Rate: 2, Burst: 15},
			Create: &resource.Operation{
				ID: "createReport", Method: "POST", Path: "/reports/2021-06-30/reports", Rate: 0.0167, Burst: 15,
				Filters: []resource.Filter{
					need(inBody(told("Report type, such as GET_MERCHANT_LISTINGS_ALL_DATA.", one("reportType")))),
					need(inBody(upTo(25, marketplaceIDs("marketplaceIds")))),
					inBody(told("ISO 8601.", one("dataStartTime"))),
					inBody(told("ISO 8601.", one("dataEndTime"))),
					inBody(told("An object of options, which depend on the report type.", one("reportOptions"))),
				},
			},
		},
		{
			Name: "get-report-schedules", Title: "Schedules of reports",
			List: &resource.Operation{
				ID: "getReportSchedules", Path: "/reports/2021-06-30/schedules", Rate: 0.0222, Burst: 10,
				Filters: []resource.Filter{need(upTo(10, many("reportTypes")))},
				Items:   "reportSchedules",
			},
		},
		{
			Name: "get-report-schedule", Title: "A schedule of reports",
			Item: &resource.Operation{ID: "getReportSchedule", Path: "/reports/2021-06-30/schedules/{item}", Rate: 0.0222, Burst: 10},
		},
		{
			Name: "get-report-document", Title: "A report's document, by the document's id", Document: true,
			Item: &resource.Operation{
				ID: "getReportDocument", Path: "/reports/2021-06-30/documents/{item}", Rate: 0.0167, Burst: 15,
				Filters: []resource.Filter{flag("enableContentEncodingUrlHeader")},
				Items:   reportDocumentAnswer,
			},
		},
	}
}

// feedResources are the Feeds API, as far as it reads: what became of a feed, and its processing report.
func feedResources() []resource.Resource {
	return []resource.Resource{
		{
			Name: "feeds", Title: "Feeds and their processing reports", Document: true,
			List: &resource.Operation{
				ID: "getFeeds", Path: "/feeds/2021-06-30/feeds", Rate: 0.0222, Burst: 10,
				Filters: []resource.Filter{
					upTo(10, told("Feed types, such as JSON_LISTINGS_FEED.", many("feedTypes"))),
					upTo(10, told("Marketplace ids; the connector's, or else all.", or(defaultNamed, many("marketplaceIds")))),
					processingStatuses(),
					told("ISO 8601; 90 days ago at most.", one("createdSince")),
					one("createdUntil"),
				},
				OneOf:  [][]string{{"feedTypes"}},
				Paging: tokenAlone(), Items: "feeds",
			},
			Item: &resource.Operation{ID: "getFeed", Path: "/feeds/2021-06-30/feeds/{item}", Rate: 2, Burst: 15},
		},
		{
			Name: "get-feed-document", Title: "A feed's document, by the document's id", Document: true,
			Item: &resource.Operation{
				ID: "getFeedDocument", Path: "/feeds/2021-06-30/documents/{item}", Rate: 0.0222, Burst: 10,
				Filters: []resource.Filter{flag("enableContentEncodingUrlHeader")},
				Items:   feedDocumentAnswer,
			},
		},
	}
}
