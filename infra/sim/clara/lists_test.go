package clarasim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	clarasim "connectorvault/infra/sim/clara"
)

// all reads a list page by page.
func (c *client) all(path, token string) []map[string]any {
	c.f.t.Helper()
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	var items []map[string]any
	for number := 0; ; number++ {
		p := c.page(fmt.Sprintf("%s%spage=%d&size=37", path, join, number), token)
		items = append(items, p.Content...)
		if p.Number != number || p.Size != 37 || p.TotalPages != (p.TotalElements+36)/37 {
			c.f.t.Fatalf("%s: envelope %+v", path, p)
		}
		if number+1 >= p.TotalPages {
			if len(items) != p.TotalElements {
				c.f.t.Fatalf("%s: %d items of %d", path, len(items), p.TotalElements)
			}
			return items
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	seen := map[any]bool{}
	for _, u := range c.all("/v3/users", token) {
		seen[u["uuid"]] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d different users", len(seen))
	}
	for query, want := range map[string][4]int{ // items, size, number, pages
		"": {50, 50, 0, 2}, "?page=1": {10, 50, 1, 2}, "?size=100": {60, 100, 0, 1}, "?size=1": {1, 1, 0, 60}, "?size=20&page=2": {20, 20, 2, 3}, "?size=20&page=3": {0, 20, 3, 3},
		"?page=2147483647&size=100": {0, 100, 2147483647, 1}, "?page=&size=": {50, 50, 0, 2},
	} {
		p := c.page("/v3/cards"+query, token)
		if got := [4]int{len(p.Content), p.Size, p.Number, p.TotalPages}; got != want || p.TotalElements != 60 {
			t.Errorf("%s: %v of %d, want %v", query, got, p.TotalElements, want)
		}
	}
	a := c.get("/v3/cards?status=EXPIRED&periodicity=DAILY&userErpId=x", token)
	if a.body != `{"content":[],"totalElements":0,"totalPages":0,"size":50,"number":0}` {
		t.Errorf("body %s", a.body)
	}
	for _, query := range []string{"page=-1", "page=x", "page=2147483648", "size=0", "size=101", "size=-5", "size=x", "size=1.5"} {
		wantRefusal(t, c.get("/v3/cards?"+query, token), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	f.fault(clarasim.Fault{Name: clarasim.FaultClampSize})
	if p := c.page("/v3/cards?size=1000", token); p.Size != 100 || len(p.Content) != 60 {
		t.Errorf("size %d, %d items", p.Size, len(p.Content))
	}
	wantRefusal(t, c.get("/v3/cards?size=0", token), http.StatusBadRequest, "VALIDATION_ERROR")
}

func TestEnvelopes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	array := func(path string) []map[string]any {
		t.Helper()
		a := c.get(path, token)
		wantStatus(t, a, http.StatusOK)
		return decode[[]map[string]any](t, a)
	}
	for path, want := range map[string]int{"/v2/groups": 12, "/v2/locations": 10} {
		for _, query := range []string{"", "?page=1&size=5", "?page=7&size=1000"} {
			if got := array(path + query); len(got) != want {
				t.Errorf("%s%s: %d items", path, query, len(got))
			}
		}
	}
	shape := func(operation, shape string) {
		t.Helper()
		f.fault(clarasim.Fault{Name: clarasim.FaultEnvelope, Operation: operation, Shape: shape})
	}
	shape("v2/groups", clarasim.ShapePage)
	if p := c.page("/v2/groups?size=5&page=2", token); len(p.Content) != 2 || p.TotalElements != 12 || p.TotalPages != 3 {
		t.Errorf("%+v", p)
	}
	if len(array("/v2/locations?size=5")) != 10 {
		t.Error("the switch acts on another list")
	}
	shape("v2/groups", clarasim.ShapePagedArray)
	if len(array("/v2/groups?size=5&page=2")) != 2 || len(array("/v2/groups?size=5&page=3")) != 0 {
		t.Error("a page is no page")
	}
	shape("v3/cards", clarasim.ShapeArray)
	if len(array("/v3/cards?size=5&status=ACTIVE")) != 45 {
		t.Error("an array is no array, or filters nothing")
	}
	shape("v3/users", clarasim.ShapeNested)
	a := c.get("/v3/users?size=7&page=1", token)
	var got struct {
		Content []any
		Page    map[string]int
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Content) != 7 || fmt.Sprint(got.Page) != "map[number:1 size:7 totalElements:40 totalPages:6]" {
		t.Errorf("body %.300s", a.body)
	}
}

func TestUserFilters(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	everybody := c.all("/v3/users", token)
	u := everybody[12]
	manager := u["manager"].(map[string]any)["uuid"].(string)
	location := u["location"].(map[string]any)
	count := func(is func(map[string]any) bool) int {
		n := 0
		for _, u := range everybody {
			if is(u) {
				n++
			}
		}
		return n
	}
	member := func(name string, value any) int {
		return count(func(u map[string]any) bool { return u[name] == value })
	}
	for query, want := range map[string]int{
		"status=ACTIVE": member("status", "ACTIVE"), "status=LOCKED": 4, "status=ACTIVE,LOCKED": 40, "status=ACTIVE&status=LOCKED": 40, "status=": 40,
		"role=COMPANY_OWNER": 1, "role=MANAGER": 4, "role=BOOKKEEPER": 2, "role=EMPLOYEE": 33, "role=employee&status=LOCKED": 4,
		"uuid=" + u["uuid"].(string): 1, "name=" + u["name"].(string): member("name", u["name"]), "lastName=" + url.QueryEscape(u["lastName"].(string)): 1,
		"fullName=" + url.QueryEscape(u["fullName"].(string)): 1, "email=" + u["email"].(string): 1, "mobilePhone=" + u["mobilePhone"].(string): 1,
		"taxIdentifier=" + u["taxIdentifier"].(string): 1, "erpId=" + u["erpId"].(string): 1, "erpId=ERP": 0,
		"locationUuid=" + location["uuid"].(string): 4, "locationName=" + url.QueryEscape(location["name"].(string)): 4,
		"managerUuid=" + manager: count(func(u map[string]any) bool {
			m, is := u["manager"].(map[string]any)
			return is && m["uuid"] == manager
		}),
		"createdAtStart=2024-01-01": count(func(u map[string]any) bool { return u["createdAt"].(string) >= "2024-01-01" }),
		"createdAtEnd=2023-12-31":   count(func(u map[string]any) bool { return u["createdAt"].(string) < "2024-01-01" }),
		"createdAtStart=" + u["createdAt"].(string)[:10] + "&createdAtEnd=" + u["createdAt"].(string)[:10]: 1,
		"unheardOf=x": 40,
	} {
		if got := c.page("/v3/users?"+query, token).TotalElements; got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	for _, query := range []string{"status=GONE", "role=ADMIN", "createdAtStart=2024-1-1", "createdAtEnd=yesterday", "createdAtEnd=2024-02-30", "status=ACTIVE,GONE"} {
		wantRefusal(t, c.get("/v3/users?"+query, token), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	if r := wantRefusal(t, c.get("/v3/users?createdAtStart=x", token), 400, "VALIDATION_ERROR"); r.Message != "Invalid date format: createdAtStart must be YYYY-MM-DD" {
		t.Errorf("message %q", r.Message)
	}
	if got := member("status", "ACTIVE"); got != 36 {
		t.Errorf("%d active users", got)
	}
}

func TestCardFilters(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	card := c.page("/v3/cards?size=1", token).Content[0]
	user := card["user"].(map[string]any)
	erp := c.page("/v3/users?uuid="+user["uuid"].(string), token).Content[0]["erpId"].(string)
	cards := c.all("/v3/cards", token)
	count := func(is func(map[string]any) bool) int {
		n := 0
		for _, u := range cards {
			if is(u) {
				n++
			}
		}
		return n
	}
	of := func(c map[string]any) bool { return c["user"].(map[string]any)["uuid"] == user["uuid"] }
	member := func(name, value string) int {
		return count(func(c map[string]any) bool { return c[name] == value })
	}
	for query, want := range map[string]int{
		"userUuid=" + user["uuid"].(string): count(of), "userErpId=" + erp: count(of), "username=" + user["username"].(string): count(of),
		"username=user01": 0, "status=ACTIVE": 45, "status=BLOCKED": 5, "status=CANCELLED": 5, "status=EXPIRED": 5,
		"periodicity=DAILY": member("periodicity", "DAILY"), "periodicity=WEEKLY": member("periodicity", "WEEKLY"), "periodicity=MONTHLY": member("periodicity", "MONTHLY"),
		"type=MASTER_VIRTUAL": member("type", "MASTER_VIRTUAL"), "type=MASTER_WORLD_ELITE": member("type", "MASTER_WORLD_ELITE"),
	} {
		if got := c.page("/v3/cards?"+query, token).TotalElements; got != want || want == 0 && query != "username=user01" {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	wantRefusal(t, c.get("/v3/cards?userUuid=x&userErpId=y", token), http.StatusBadRequest, "VALIDATION_ERROR")
	wantRefusal(t, c.get("/v3/cards?periodicity=YEARLY", token), http.StatusBadRequest, "VALIDATION_ERROR")
	wantRefusal(t, c.get("/v3/cards?type=VISA", token), http.StatusBadRequest, "VALIDATION_ERROR")
}

func TestTransactionFilters(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	every := c.all("/v3/transactions", token)
	if len(every) < 132 {
		t.Fatalf("%d transactions", len(every))
	}
	text := func(v any) string { s, _ := v.(string); return s }
	count := func(is func(map[string]any) bool) int {
		n := 0
		for _, u := range every {
			if is(u) {
				n++
			}
		}
		return n
	}
	within := func(member, from, until string) int {
		return count(func(t map[string]any) bool {
			at := text(t[member])
			return at != "" && (from == "" || at >= from) && (until == "" || at <= until)
		})
	}
	label := ""
	for _, one := range every {
		if labels := one["labels"].([]any); len(labels) > 0 {
			label = text(labels[0].(map[string]any)["uuid"])
		}
	}
	first := text(every[0]["operationDate"])
	status := func(name string) int {
		return count(func(t map[string]any) bool { return t["status"] == name })
	}
	for query, want := range map[string]int{
		"operationDateRangeStart=2026-03-05":                                       within("operationDate", "2026-03-05", ""),
		"operationDateRangeEnd=2026-03-05":                                         within("operationDate", "", "2026-03-05"),
		"operationDateRangeStart=2026-03-05&operationDateRangeEnd=2026-04-04":      within("operationDate", "2026-03-05", "2026-04-04"),
		"operationDateRangeStart=" + first + "&operationDateRangeEnd=" + first:     within("operationDate", first, first),
		"operationDateRangeStart=2026-04-04&operationDateRangeEnd=2026-03-05":      0,
		"accountingDateRangeStart=2026-03-05":                                      within("accountingDate", "2026-03-05", ""),
		"accountingDateRangeStart=2026-03-05&accountingDateRangeEnd=2026-03-31":    within("accountingDate", "2026-03-05", "2026-03-31"),
		"accountingDateRangeEnd=2026-03-05":                                        within("accountingDate", "", "2026-03-05"),
		"status=AUTHORIZED":                                                        status("AUTHORIZED"),
		"status=op":                                                                status("AUTHORIZED"),
		"status=RJ,EC":                                                             status("REJECTED") + status("SYSTEM_TRANSACTION"),
		"status=PRE_AUTHORIZED":                                                    status("PRE_AUTHORIZED"),
		"labelUuid=" + label:                                                       count(func(t map[string]any) bool { return strings.Contains(fmt.Sprint(t["labels"]), label) }),
		"label=tacos":                                                              count(func(t map[string]any) bool { return strings.Contains(text(t["transactionLabel"]), "TACOS") }),
		"status=AUTHORIZED&label=tacos&operationDateRangeStart=2026-01-01&size=10": -1,
	} {
		got := c.page("/v3/transactions?"+query, token).TotalElements
		if want < 0 {
			want = count(func(t map[string]any) bool {
				return t["status"] == "AUTHORIZED" && t["transactionLabel"] == "TACOS EL GUERO" && text(t["operationDate"]) >= "2026-01-01"
			})
		}
		if got != want || want == 0 && !strings.Contains(query, "End=2026-03-05") {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	for _, query := range []string{"operationDateRangeStart=05-03-2026", "accountingDateRangeEnd=2026-03-05T00:00:00Z", "status=PAID", "sort=merchant", "sort=operationDate,up"} {
		wantRefusal(t, c.get("/v3/transactions?"+query, token), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	for i := range len(every) - 1 {
		if text(every[i]["operationDate"]) < text(every[i+1]["operationDate"]) {
			t.Fatal("the newest is not first")
		}
	}
	oldest := c.page("/v3/transactions?sort=operationDate,asc&size=1", token).Content[0]
	if oldest["operationDate"] != every[len(every)-1]["operationDate"] {
		t.Errorf("oldest %v", oldest["operationDate"])
	}
	if newest := c.page("/v3/transactions?sort=operationDate,desc&size=1", token).Content[0]; newest["operationDate"] != first {
		t.Errorf("newest %v", newest["operationDate"])
	}
}

func TestExtractedDocuments(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	types, stack := map[any]bool{}, ""
	for _, one := range c.all("/v3/transactions", token) {
		if one["hasAttachments"].(map[string]any)["value"] != true {
			continue
		}
		path := "/v3/transactions/" + one["uuid"].(string) + "/extracted-documents"
		p := c.page(path, token)
		if p.TotalElements == 0 || p.Size != 20 {
			t.Fatalf("%s: %+v", path, p)
		}
		for _, d := range p.Content {
			types[d["type"]] = true
		}
		if p.TotalPages == 2 {
			stack = path
		}
		if len(types) == 4 && stack != "" {
			break
		}
	}
	if len(types) != 4 || stack == "" {
		t.Fatalf("types %v, a stack %q", types, stack)
	}
	var all []map[string]any
	for number := range 2 {
		all = append(all, c.page(fmt.Sprintf("%s?page=%d", stack, number), token).Content...)
	}
	if len(all) != 23 {
		t.Fatalf("%d documents", len(all))
	}
	for _, name := range []string{"type", "validationStatus", "uuid"} {
		want := 0
		for _, d := range all {
			if d[name] == all[0][name] {
				want++
			}
		}
		if got := c.page(stack+"?"+name+"="+all[0][name].(string), token).TotalElements; got != want || want == 23 {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	wantRefusal(t, c.get(stack+"?type=BILL", token), http.StatusBadRequest, "VALIDATION_ERROR")
	wantRefusal(t, c.get(stack+"?validationStatus=MAYBE", token), http.StatusBadRequest, "VALIDATION_ERROR")
}
