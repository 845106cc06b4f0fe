package amazonsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/infra/sim/engine/enginetest"
)

// modelsVariable names a folder of Amazon's own models, which the repository does not carry.
const modelsVariable = "AMAZON_MODELS_DIR"

func newSandbox(t *testing.T, folder string) (*front, string) {
	t.Helper()
	f := openFront(t, filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock(), folder)
	return f, f.access(amazonsim.SellerNorthAmerica, "na")
}

func TestStaticSandboxMatching(t *testing.T) {
	t.Parallel()
	f, token := newSandbox(t, filepath.Join("testdata", "models"))
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"every named parameter equal", "GET", "/things?marketplaceIds=ATVPDKIKX0DER,A2EUQ1WTGCTBG2&pageSize=10", "", 200, `{"things": ["general"]}`},
		{"in any order, with more than is named", "GET", "/things?pageSize=10&marketplaceIds=A2EUQ1WTGCTBG2&marketplaceIds=ATVPDKIKX0DER&x=1", "", 200, `{"things": ["general"]}`},
		{"the example that names most", "GET", "/things?marketplaceIds=ATVPDKIKX0DER,A2EUQ1WTGCTBG2&pageSize=10&kind=B", "", 200, `{"things": ["of kind B"]}`},
		{"an empty value is an absent one", "GET", "/things?kind=A", "", 400, `{"errors": [{"code": "400", "message": "marketplaceIds is missing"}]}`},
		{"no match", "GET", "/things?pageSize=11", "", 400, `{"errors":[{"code":"InvalidInput","message":"Could not match input arguments","details":""}]}`},
		{"marketplace of another region", "GET", "/things?marketplaceIds=A1VC38T7YXB528", "", 403, "not valid for region"},
		{"unknown route", "GET", "/nothing", "", 403, `"details":""`},
		{"anything goes", "GET", "/things/T9", "", 200, `{"id": "any"}`},
		{"path variable", "GET", "/things/Bad", "", 400, `{"errors": []}`},
		{"fixed path before variable", "GET", "/things/special", "", 200, `{"id": "special"}`},
		{"success where two fit equally", "GET", "/twice", "", 200, `{"id": "success first"}`},
		{"no content", "DELETE", "/things/T9", "", 204, ""},
		{"body with more members", "POST", "/things", `{"name":"n","size":1.50,"tags":["a","b"],"more":true}`, 201, `{"id": "T1"}`},
		{"body that fits less", "POST", "/things", `{"name":"n","size":2,"tags":["a","b"]}`, 400, `"size is missing"`},
		{"list in another order", "POST", "/things", `{"name":"m","size":1.50,"tags":["b","a"]}`, 400, "Could not match"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.clock.Step(time.Second)
			a := f.call(test.method, "sandbox/na/sample/v1"+test.path, token, test.body)
			if a.status != test.status || !strings.Contains(a.body, test.want) || (test.want == "" && a.body != "") {
				t.Errorf("%d %s", a.status, a.body)
			}
			if rate := a.header.Get("X-Amzn-Ratelimit-Limit"); (rate == "5.0") != (a.status != http.StatusForbidden) {
				t.Errorf("status %d with rate header %q", a.status, rate)
			}
		})
	}
	a := f.send("POST", f.base+"/sandbox/na/sample/v1/things", http.Header{"X-Amz-Access-Token": {token}, "X-Sample-Trace": {"on"}}, `{}`)
	wantStatus(t, a, http.StatusAccepted)
	wantStatus(t, f.get("sandbox/eu/sample/v1/things/T9", token), http.StatusOK) // tokens of another region are taken
	wantStatus(t, f.get("na"+participations, token), http.StatusOK)              // production is beside it
	wantStatus(t, f.get("na/sample/v1/things/T9", token), http.StatusForbidden)
}

func TestSandboxBurst(t *testing.T) {
	t.Parallel()
	f, token := newSandbox(t, filepath.Join("testdata", "models"))
	for range 15 {
		wantStatus(t, f.get("sandbox/na/sample/v1/things/T9", token), http.StatusOK)
	}
	wantStatus(t, f.get("sandbox/na/sample/v1/things/T9", token), http.StatusTooManyRequests)
}

func TestDynamicSandboxInventory(t *testing.T) {
	t.Parallel()
	f, token := newSandbox(t, filepath.Join("testdata", "models"))
	const items = "sandbox/na/fba/inventory/v1/items"
	add := func(key string) answer {
		return f.send(http.MethodPost, f.base+"/"+items+"/inventory", http.Header{
			"X-Amz-Access-Token": {token}, "X-Amzn-Idempotency-Token": {key},
		}, `{"inventoryItems":[{"sellerSku":"S1","marketplaceId":"ATVPDKIKX0DER","quantity":5}]}`)
	}
	summaries := func(sku string) string {
		a := f.get("sandbox/na/fba/inventory/v1/summaries?granularityType=Marketplace&granularityId=ATVPDKIKX0DER&marketplaceIds=ATVPDKIKX0DER&sellerSkus="+sku, token)
		wantStatus(t, a, http.StatusOK)
		return a.body
	}
	a := f.call(http.MethodPost, items, token, `{"sellerSku":"S1","productName":"Thing"}`)
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, "MarketplaceId is required for Operation: CreateInventoryItem") {
		t.Errorf("%d %s", a.status, a.body)
	}
	a = f.call(http.MethodPost, items, token, `{"sellerSku":"S1","marketplaceId":"ATVPDKIKX0DER","productName":"Thing"}`)
	if a.status != http.StatusOK || a.body != "{}" {
		t.Errorf("create: %d %s", a.status, a.body)
	}
	wantStatus(t, add("key-1"), http.StatusOK)
	if a := add("key-1"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "Idempotency Token already exists.") {
		t.Errorf("repeated: %d %s", a.status, a.body)
	}
	if body := summaries("S1"); !strings.Contains(body, `"totalQuantity":5`) {
		t.Errorf("summaries %s", body)
	}
	if body := summaries("S2"); strings.Contains(body, "pagination") || !strings.Contains(body, `"inventorySummaries":[]`) {
		t.Errorf("unknown SKU: %s", body)
	}
	wantStatus(t, f.call(http.MethodDelete, items+"/S1?marketplaceId=ATVPDKIKX0DER", token, ""), http.StatusOK)
	if body := summaries("S1"); strings.Contains(body, "S1") {
		t.Errorf("after deletion: %s", body)
	}
}

func TestSandboxWithoutModelsUsesTheSeededData(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.get("sandbox/eu"+participations, f.access(amazonsim.SellerEurope, "eu"))
	wantStatus(t, a, http.StatusOK)
	if a.header.Get("X-Amzn-Ratelimit-Limit") != "5.0" {
		t.Errorf("rate header %q", a.header.Get("X-Amzn-Ratelimit-Limit"))
	}
}

func TestModelsFolderMustHoldModels(t *testing.T) {
	t.Parallel()
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "x.json"), []byte(`{"paths":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{t.TempDir(), broken} {
		_, err := amazonsim.New(amazonsim.Config{StatePath: filepath.Join(t.TempDir(), "sim.db"), ModelsDir: folder})
		if err == nil {
			t.Error("New accepted a folder without models")
		}
	}
}

// pair is one request/response pair of a model file, read apart from the code under test.
type pair struct {
	file, method, path, status string
	parameters                 map[string]struct{ Value json.RawMessage }
	response                   json.RawMessage
}

// TestEveryPairOfTheModels sends every example request of Amazon's models and wants the example's answer.
func TestEveryPairOfTheModels(t *testing.T) {
	t.Parallel()
	folder := os.Getenv(modelsVariable)
	if folder == "" {
		t.Skipf("%s is not set: it names a folder of Amazon's OpenAPI models", modelsVariable)
	}
	f, token := newSandbox(t, folder)
	if err := f.sim.Unlimited(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	pairs := readPairs(t, folder)
	for i, p := range pairs {
		a := f.call(p.method, "sandbox/"+p.region()+p.target(), token, p.body())
		if p.answeredBy(a) {
			continue
		}
		// Some pairs name exactly what another pair names; only one of them can be answered.
		twin := slices.IndexFunc(pairs, func(q pair) bool {
			return q.method == p.method && q.path == p.path && reflect.DeepEqual(q.named(), p.named()) && q.answeredBy(a)
		})
		if twin < 0 || twin == i {
			t.Errorf("%s %s %s %s: %d %.300s", p.file, p.method, p.path, p.status, a.status, a.body)
		}
	}
	t.Logf("%d pairs", len(pairs))
}

func readPairs(t *testing.T, folder string) []pair {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pairs []pair
	for _, name := range names {
		text, err := os.ReadFile(name) //nolint:gosec // the tester names the folder
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Paths map[string]map[string]json.RawMessage
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for path, item := range file.Paths {
			for method, text := range item {
				var op struct {
					Responses map[string]struct {
						Sandbox struct {
							Static []struct {
								Request struct {
									Parameters map[string]struct{ Value json.RawMessage }
								}
								Response json.RawMessage
							}
						} `json:"x-amzn-api-sandbox"`
					}
				}
				if method == "parameters" || strings.HasPrefix(method, "x-") {
					continue
				}
				if err := json.Unmarshal(text, &op); err != nil {
					t.Fatalf("%s %s %s: %v", name, method, path, err)
				}
				for status, response := range op.Responses {
					for _, s := range response.Sandbox.Static {
						pairs = append(pairs, pair{filepath.Base(name), strings.ToUpper(method), path, status, s.Request.Parameters, s.Response})
					}
				}
			}
		}
	}
	return pairs
}

// named are the parameters with a value.
func (p pair) named() map[string]string {
	named := map[string]string{}
	for name, parameter := range p.parameters {
		if len(parameter.Value) > 0 {
			named[name] = string(parameter.Value)
		}
	}
	return named
}

func (p pair) body() string {
	if p.method == http.MethodGet {
		return ""
	}
	if value := p.parameters["body"].Value; len(value) > 0 {
		return string(value)
	}
	return ""
}

// target is the path with its query.
func (p pair) target() string {
	path, query := p.path, url.Values{}
	for name, text := range p.named() {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil || name == "body" {
			continue
		}
		var texts []string
		if list, isList := value.([]any); isList {
			for _, element := range list {
				texts = append(texts, fmt.Sprint(element))
			}
		} else {
			texts = []string{fmt.Sprint(value)}
		}
		if hole := "{" + name + "}"; strings.Contains(path, hole) {
			path = strings.ReplaceAll(path, hole, url.PathEscape(texts[0]))
			continue
		}
		query.Set(name, strings.Join(texts, ","))
	}
	for strings.Contains(path, "{") {
		start, end := strings.Index(path, "{"), strings.Index(path, "}")
		path = path[:start] + "anything" + path[end+1:]
	}
	return path + "?" + query.Encode()
}

// region is the one whose host takes the pair's marketplaces.
func (p pair) region() string {
	for name, text := range p.named() {
		if name == "body" {
			continue
		}
		for region, ids := range map[string][]string{"fe": {"A1VC38T7YXB528"}, "eu": {"A1F83G8C2ARO7P", "A1PA6795UKMFR9"}} {
			if slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(text, id) }) {
				return region
			}
		}
	}
	return "na"
}

func (p pair) answeredBy(a answer) bool {
	if fmt.Sprint(a.status) != p.status {
		return false
	}
	if a.body == "" {
		return a.status == http.StatusNoContent || len(p.response) == 0 || string(p.response) == "null"
	}
	var want, got any
	if json.Unmarshal(p.response, &want) != nil || json.Unmarshal([]byte(a.body), &got) != nil {
		return false
	}
	return reflect.DeepEqual(want, got)
}
