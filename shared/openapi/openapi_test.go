package openapi_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/access"
	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/openapi/openapitest"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/version"
)

type object = openapitest.Object

func document(t *testing.T) *openapitest.Document {
	t.Helper()
	d, err := openapitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDocumentIsOfThisRelease(t *testing.T) {
	t.Parallel()
	d := document(t)
	info, _ := d.Root["info"].(object)
	if d.Root["openapi"] != "3.1.0" || info["version"] != version.Bundle {
		t.Errorf("it is of %v, release %v", d.Root["openapi"], info["version"])
	}
}

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

// Every route is there with its parameters, its right, and whether a key is asked for; and nothing else is.
func TestTheDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	d := document(t)
	operations := d.Operations()
	ids := map[string]bool{}
	for _, r := range route.Table() {
		o, ok := operations[r.Key()]
		if !ok {
			t.Errorf("%s is not in the document", r.Key())
			continue
		}
		delete(operations, r.Key())
		if o.ID == "" || ids[o.ID] {
			t.Errorf("%s has no name of its own: %q", r.Key(), o.ID)
		}
		ids[o.ID] = true
		var want, have []string
		for _, found := range parameter.FindAllStringSubmatch(r.Path, -1) {
			want = append(want, found[1])
		}
		for _, p := range d.Parameters(o) {
			if p["in"] == "path" {
				have = append(have, p["name"].(string))
				if p["required"] != true {
					t.Errorf("%s: %s need not be there", r.Key(), p["name"])
				}
			}
		}
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Errorf("%s takes %v in its path, the document says %v", r.Key(), want, have)
		}
		security, said := o.Node["security"].([]any)
		right, _ := o.Node["x-right"].(string)
		if open := said && len(security) == 0; open != r.Open || said && !open || right != string(r.Right) {
			t.Errorf("%s is open: %t, takes %q; the document says %t, %q", r.Key(), r.Open, r.Right, open, right)
		}
	}
	for key := range operations {
		t.Errorf("the document has %s, which is no route", key)
	}
	if everywhere := d.Root["security"]; !reflect.DeepEqual(everywhere, []any{object{"bearer": []any{}}}) {
		t.Errorf("where nothing else is said, what is asked for is %v", everywhere)
	}
}

// The gateway answers by itself, on every route, with a body of its own.
func TestTheGatewaysAnswersAreThere(t *testing.T) {
	t.Parallel()
	d := document(t)
	for _, r := range route.Table() {
		o := d.Operations()[r.Key()]
		want := []string{"429", "500", "503"}
		if !r.Open {
			want = append(want, "401", "403")
		}
		if o.Node["requestBody"] != nil || r.Open && r.Method == "POST" {
			want = append(want, "413")
		}
		if !r.Open && strings.Contains(r.Path, "{") {
			if d.Response(o, "404") == nil {
				t.Errorf("%s always finds what it looks for", r.Key())
			}
		}
		for _, status := range want {
			content, _ := d.Response(o, status)["content"].(object)
			media, _ := content["application/json"].(object)
			schema, _ := media["schema"].(object)
			if schema["$ref"] != "#/components/schemas/GatewayMessage" {
				t.Errorf("%s: nothing is said of the gateway's %s", r.Key(), status)
			}
		}
		if responses := o.Node["responses"].(object); r.Open && (responses["401"] != nil || responses["403"] != nil) {
			t.Errorf("%s is open, and asks for a key", r.Key())
		}
	}
}

// What is marked as the gateway's has the gateway's body, and nothing else has.
func TestTheGatewaysAnswersAreMarked(t *testing.T) {
	t.Parallel()
	d := document(t)
	check := func(what string, response object) {
		content, _ := response["content"].(object)
		media, _ := content["application/json"].(object)
		schema, _ := media["schema"].(object)
		if marked, is := response["x-gateway"] == true, schema["$ref"] == "#/components/schemas/GatewayMessage"; marked != is {
			t.Errorf("%s is the gateway's: %t, and marked as such: %t", what, is, marked)
		}
	}
	for name, response := range d.Components("responses") {
		check(name, response.(object))
	}
	for key, o := range d.Operations() {
		for status := range o.Node["responses"].(object) {
			check(key+" "+status, d.Response(o, status))
		}
	}
}

// What is sent to webhooks is described too, though nobody asks for it.
func TestAMessageFitsItsSchema(t *testing.T) {
	t.Parallel()
	d := document(t)
	at := time.Date(2026, 11, 21, 12, 0, 0, 5e6, time.UTC)
	horizon := &record.Horizon{Name: record.ClientSecretEnd, At: at, Assumed: true, Detail: "something"}
	for _, e := range []record.Event{
		{ID: "ev_1000000000000000", Kind: record.EventTest, At: at},
		{ID: "ev_1000000000000000", Kind: record.EventExpiring, At: at, Provider: "amazon", APIEnvironment: record.Sandbox, Horizon: horizon, DaysBefore: 7},
		{ID: "ev_1000000000000000", Kind: record.EventReauth, At: at, Provider: "amazon", APIEnvironment: record.Production, Entry: "ve_1000000000000000",
			Alias: "shop", Environment: "test", Disabled: true, Generation: 3, Cause: record.Revoked},
	} {
		if err := d.Validate("/components/schemas/WebhookMessage", api.WebhookMessageOf("wh_1000000000000000", e)); err != nil {
			t.Errorf("%s: %v", e.Kind, err)
		}
	}
}

// described are the types whose JSON a schema describes, by the schema's name.
var described = map[string]reflect.Type{
	"Provider": reflect.TypeFor[api.Provider](), "Resource": reflect.TypeFor[api.Resource](), "ResourceOperation": reflect.TypeFor[api.Operation](),
	"ResourceFilter": reflect.TypeFor[api.Filter](), "ProviderField": reflect.TypeFor[provider.Field](), "ConnectorSetting": reflect.TypeFor[provider.Setting](),
	"Region": reflect.TypeFor[provider.Region](), "Marketplace": reflect.TypeFor[provider.Marketplace](),
	"ProviderApp": reflect.TypeFor[api.App](), "Rotation": reflect.TypeFor[api.Rotation](),
	"Preflight": reflect.TypeFor[api.Preflight](), "PreflightCheck": reflect.TypeFor[api.Check](),
	"VaultEntry": reflect.TypeFor[api.Entry](), "Token": reflect.TypeFor[api.Token](), "Credential": reflect.TypeFor[api.Credential](),
	"Account": reflect.TypeFor[record.Account](), "AccountMember": reflect.TypeFor[record.Member](), "Permission": reflect.TypeFor[record.Permission](),
	"Failure": reflect.TypeFor[record.Failure](), "Certificate": reflect.TypeFor[record.Material](), "Horizon": reflect.TypeFor[record.Horizon](),
	"Connector": reflect.TypeFor[api.Connector](), "ConnectorInput": reflect.TypeFor[admin.ConnectorInput](),
	"Page": reflect.TypeFor[read.Page](), "PageMeta": reflect.TypeFor[read.Meta](), "Check": reflect.TypeFor[read.Check](), "CheckFinding": reflect.TypeFor[read.Finding](),
	"Key": reflect.TypeFor[api.Key](), "KeyInput": reflect.TypeFor[admin.KeyInput](),
	"ConnectorToken": reflect.TypeFor[api.ConnectorToken](), "ConnectorTokenInput": reflect.TypeFor[admin.ConnectorTokenInput](),
	"Event": reflect.TypeFor[api.Event](), "Webhook": reflect.TypeFor[api.Webhook](), "WebhookWithSecret": reflect.TypeFor[api.WebhookWithSecret](),
	"WebhookInput": reflect.TypeFor[admin.WebhookInput](), "WebhookChange": reflect.TypeFor[admin.WebhookInput](),
	"Delivery": reflect.TypeFor[api.Delivery](), "WebhookMessage": reflect.TypeFor[api.WebhookMessage](),
	"AuditEvent": reflect.TypeFor[api.AuditEvent](), "AuditActor": reflect.TypeFor[api.AuditActor](), "AuditChange": reflect.TypeFor[audit.Change](),
	"ProviderAnswer": reflect.TypeFor[fault.Provider](), "VaultEntryList": reflect.TypeFor[api.List[api.Entry]](),
}

// apart are schemas of what has no exported type: the first are held to providers' fields, the others to what the program answers
// or takes, in the test of the examples.
var apart = []string{
	"AmazonAppInput", "SageAppInput", "AmazonEntryInput", "SageEntryInput", "ClaraEntryInput", "CredentialInput", "ConnectorSettings",
	"Problem", "GatewayMessage", "RotateSecretInput", "PreflightInput", "VaultEntryChange", "AuthorizeInput", "Begun", "ValidateInput", "ConnectorChange",
	"StreamEnd", "StreamMeta", "StreamStop", "NewKey", "NewConnectorToken", "WebhookTest", "TestEvent",
	"ProviderList", "ProviderAppList", "CredentialList", "ConnectorList", "KeyList", "ConnectorTokenList", "EventList", "WebhookList", "AuditEventList",
}

// member is what the code says of a member of a JSON object.
type member struct {
	kind     string // the JSON type; "" is any
	always   bool
	nullable bool
}

func membersOf(at reflect.Type) map[string]member {
	out := map[string]member{}
	for i := range at.NumField() {
		f := at.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			maps.Copy(out, membersOf(f.Type))
		}
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		omitted := strings.Contains(options, "omit")
		out[name] = member{kind: kindOf(f.Type), always: !omitted, nullable: f.Type.Kind() == reflect.Pointer && !omitted}
	}
	return out
}

func kindOf(at reflect.Type) string {
	switch {
	case at == reflect.TypeFor[time.Time]():
		return "string"
	case at.Kind() == reflect.Pointer:
		return kindOf(at.Elem())
	case at == reflect.TypeFor[json.RawMessage]():
		return ""
	}
	switch at.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	default:
		return ""
	}
}

// properties are those of a schema and of the ones that it is put together from.
func properties(d *openapitest.Document, schema object) (all object, required []string) {
	all = object{}
	parts, _ := schema["allOf"].([]any)
	for _, p := range append(parts, any(object{"properties": schema["properties"], "required": schema["required"]})) {
		part := d.Resolve(p)
		if part["allOf"] != nil {
			continue
		}
		named, _ := part["properties"].(object)
		maps.Copy(all, named)
		needed, _ := part["required"].([]any)
		for _, name := range needed {
			required = append(required, name.(string))
		}
	}
	return all, required
}

func types(d *openapitest.Document, schema any) (out []string) {
	switch t := d.Resolve(schema)["type"].(type) {
	case string:
		return []string{t}
	case []any:
		for _, one := range t {
			out = append(out, one.(string))
		}
	}
	return out
}

// ours are the members of an entry that are no provider's.
func providersFields() map[string]bool {
	out := map[string]bool{}
	c := catalog.New(catalog.Options{})
	for _, name := range c.Names() {
		a, _ := c.Adapter(name)
		for _, f := range a.Descriptor().Fields {
			if !f.Secret {
				out[f.Name] = true
			}
		}
	}
	return out
}

// Every member of what is answered and taken is in its schema, and nothing else is.
func TestSchemasHaveTheMembersOfTheCode(t *testing.T) {
	t.Parallel()
	d := document(t)
	schemas := d.Components("schemas")
	for name, at := range described {
		schema, ok := schemas[name].(object)
		if !ok {
			t.Errorf("there is no schema %s", name)
			continue
		}
		want := membersOf(at)
		if name == "VaultEntry" {
			for field := range providersFields() {
				want[field] = member{}
			}
		}
		have, required := properties(d, schema)
		input := strings.HasSuffix(name, "Input") || strings.HasSuffix(name, "Change")
		for field, m := range want {
			property, ok := have[field]
			if !ok {
				t.Errorf("%s: %s is not in the document", name, field)
				continue
			}
			is := types(d, property)
			if m.kind != "" && !slices.Contains(is, m.kind) {
				t.Errorf("%s: %s is a JSON %s, the document says %v", name, field, m.kind, is)
			}
			if !input && m.kind != "" && slices.Contains(required, field) != m.always {
				t.Errorf("%s: %s is always there: %t; the document says otherwise", name, field, m.always)
			}
			if !input && m.nullable && !slices.Contains(is, "null") {
				t.Errorf("%s: %s can be null; the document says %v", name, field, is)
			}
		}
		for field := range have {
			if _, ok := want[field]; !ok {
				t.Errorf("%s: the document has %s, the code does not", name, field)
			}
		}
	}
	for name := range schemas {
		schema := schemas[name].(object)
		if (schema["properties"] != nil || schema["allOf"] != nil) && described[name] == nil && !slices.Contains(apart, name) {
			t.Errorf("the schema %s is held to nothing", name)
		}
	}
}

// A type that is added to the API is added to the document.
func TestEveryTypeOfTheAPIIsDescribed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"List": true, "Settings": true} // one of anything; and one with members that providers name
	for _, at := range described {
		name, _, _ := strings.Cut(at.Name(), "[")
		known[name] = true
	}
	files, err := filepath.Glob("../api/*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() && !known[spec.Name.Name] {
				t.Errorf("%s is not described", spec.Name.Name)
			}
			return true
		})
	}
}

func enum(d *openapitest.Document, schema any) (out []string) {
	values, _ := d.Resolve(schema)["enum"].([]any)
	for _, v := range values {
		if text, ok := v.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// What an application and an entry of each provider take is what the provider says.
func TestSchemasHaveTheFieldsOfTheProviders(t *testing.T) {
	t.Parallel()
	d := document(t)
	c := catalog.New(catalog.Options{})
	settings := map[string]bool{"resources": true}
	for _, name := range c.Names() {
		a, _ := c.Adapter(name)
		descriptor := a.Descriptor()
		title := strings.ToUpper(name[:1]) + name[1:]
		common := []string{"provider", "alias", "environment", "api_environment"}
		if descriptor.OwnGrant {
			common = append(common, "download")
		}
		held(t, d, title+"EntryInput", descriptor.Fields, common)
		if len(descriptor.AppFields) > 0 {
			held(t, d, title+"AppInput", descriptor.AppFields, []string{"api_environment", "draft", "client_secret_expires_at", "callback_registered"})
		}
		if descriptor.OwnGrant {
			held(t, d, "CredentialInput", slices.DeleteFunc(slices.Clone(descriptor.Fields), func(f provider.Field) bool { return !f.Client }), []string{"download"})
		}
		for _, s := range descriptor.Settings {
			settings[s.Name] = true
		}
	}
	have, _ := properties(d, d.Components("schemas")["ConnectorSettings"].(object))
	if got, want := slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(settings)); !slices.Equal(got, want) {
		t.Errorf("connectors have the settings %v, the document says %v", want, got)
	}
}

func held(t *testing.T, d *openapitest.Document, name string, fields []provider.Field, common []string) {
	t.Helper()
	schema, ok := d.Components("schemas")[name].(object)
	if !ok {
		t.Errorf("there is no schema %s", name)
		return
	}
	have, _ := properties(d, schema)
	want := slices.Clone(common)
	for _, f := range fields {
		want = append(want, f.Name)
		property := d.Resolve(have[f.Name])
		if secret := property["writeOnly"] == true; secret != f.Secret {
			t.Errorf("%s: %s is secret: %t, the document says %t", name, f.Name, f.Secret, secret)
		}
		if options := enum(d, property); options != nil && !slices.Equal(options, f.Options) {
			t.Errorf("%s: %s is one of %v, the document says %v", name, f.Name, f.Options, options)
		}
		if standard, _ := property["default"].(string); standard != f.Default {
			t.Errorf("%s: %s is %q when it is left out, the document says %q", name, f.Name, f.Default, standard)
		}
		if f.Flag != slices.Contains(types(d, property), "boolean") {
			t.Errorf("%s: %s is true or false: %t", name, f.Name, f.Flag)
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(have)); !slices.Equal(got, want) {
		t.Errorf("%s takes %v, the document says %v", name, want, got)
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%s takes anything", name)
	}
}

func texts[T ~string](values []T) (out []string) {
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

func TestListsOfWordsAreTheCodes(t *testing.T) {
	t.Parallel()
	d := document(t)
	schemas := d.Components("schemas")
	member := func(schema, name string) any { return schemas[schema].(object)["properties"].(object)[name] }
	events := texts(record.EventKinds())
	for what, c := range map[string]struct {
		schema any
		want   []string
	}{
		"roles":           {schemas["Role"], texts(access.Roles())},
		"sides":           {schemas["APIEnvironment"], texts([]record.APIEnvironment{record.Production, record.Sandbox})},
		"statuses":        {schemas["EntryStatus"], texts([]record.Status{record.Pending, record.Active, record.Reauth, record.Disabled})},
		"causes":          {schemas["Cause"], texts([]record.Cause{record.Revoked, record.RotationUnknown, record.AuthorizationExpired})},
		"modes":           {schemas["Mode"], texts([]record.Mode{record.Browser, record.ResultURL, record.Appstore, record.RefreshToken})},
		"kinds of events": {schemas["EventKind"], events},
		"messages":        {member("WebhookMessage", "type"), append(slices.Clone(events), string(record.EventTest))},
		"deliveries":      {member("Delivery", "kind"), append(slices.Clone(events), string(record.EventTest))},
		"subjects":        {schemas["AuditKind"], texts(audit.Kinds())},
		"health":          {member("VaultEntry", "health"), texts([]record.Health{record.OK, record.Degraded, record.Failing})},
		"identity":        {member("VaultEntry", "identity"), texts([]record.Identity{record.Verified, record.Claimed})},
		"horizon":         {member("Horizon", "name"), []string{record.AuthorizationEnd, record.RefreshTokenEnd, record.ClientSecretEnd, record.RetirementEnd, record.CertificateEnd, record.ProjectEnd}},
		"checks":          {member("PreflightCheck", "check"), []string{admin.CheckEnabled, admin.CheckToken, admin.CheckVersion, admin.CheckApp, admin.CheckRegistered, admin.CheckReachable, admin.CheckFields}},
		"actors": {member("AuditActor", "kind"), texts([]audit.ActorKind{audit.Principal, audit.Browser, audit.Schedule, audit.TokenService,
			audit.Operator, audit.Unknown})},
	} {
		if got := enum(d, c.schema); !slices.Equal(got, c.want) {
			t.Errorf("the %s are %v, the document says %v", what, c.want, got)
		}
	}
	uses := member("ConnectorTokenInput", "uses").(object)["maximum"]
	hours := member("ConnectorTokenInput", "expires_in_hours").(object)["maximum"]
	connectors := member("KeyInput", "connectors").(object)["maxItems"]
	alias := schemas["Alias"].(object)["maxLength"]
	if uses != float64(admin.MaxTokenUses) || hours != float64(admin.MaxTokenHours) || connectors != float64(admin.MaxKeyConnectors) || alias != float64(admin.MaxAlias) {
		t.Errorf("the document has %v uses, %v hours, %v connectors, %v characters", uses, hours, connectors, alias)
	}
}

// A problem document that is made has the members of its schema.
func TestAProblemFitsItsSchema(t *testing.T) {
	t.Parallel()
	d := document(t)
	err := fault.New(fault.Refused, "provider_refused", "It said no.").On("field").Do("Ask again.")
	err.Provider = &fault.Provider{Status: 400, Code: "c", Message: "m", Details: "d", RequestID: "r"}
	var body object
	if err := json.Unmarshal(lambdahttp.Problem(err, "id").Body, &body); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate("/components/schemas/Problem", body); err != nil {
		t.Error(err)
	}
	have, _ := properties(d, d.Components("schemas")["Problem"].(object))
	for name := range have {
		if body[name] == nil {
			t.Errorf("the document has %s, a problem does not", name)
		}
	}
}

// Each operation shows what it answers, or answers with nothing that a program would read.
func TestOperationsHaveExamples(t *testing.T) {
	t.Parallel()
	d := document(t)
	used := map[string]bool{}
	for _, r := range route.Table() {
		found, err := d.Examples(d.Operations()[r.Key()])
		if err != nil {
			t.Error(err)
		}
		success := false
		for _, e := range found {
			success = success || e.Status < 400
		}
		if !success {
			t.Errorf("%s shows no success", r.Key())
		}
	}
	for _, found := range regexp.MustCompile(`#/components/examples/([A-Za-z.]+)`).FindAllStringSubmatch(text(t), -1) {
		used[found[1]] = true
	}
	for name := range d.Components("examples") {
		if !used[name] {
			t.Errorf("nothing shows the example %s", name)
		}
	}
}

func text(t *testing.T) string {
	t.Helper()
	body, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// References lead somewhere, and what is there is shown by something.
func TestReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	d := document(t)
	led := map[string]bool{}
	for _, found := range regexp.MustCompile(`'#/components/([a-zA-Z]+)/([A-Za-z.]+)'`).FindAllStringSubmatch(text(t), -1) {
		led[found[1]+"/"+found[2]] = true
		if d.Components(found[1])[found[2]] == nil {
			t.Errorf("%s leads nowhere", found[0])
		}
	}
	for _, kind := range []string{"schemas", "responses", "parameters", "headers", "requestBodies"} {
		for name := range d.Components(kind) {
			if !led[kind+"/"+name] {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
}
