package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
	"connectorvault/shared/vault/vaulttest"
)

// go test ./shared/vault -run 'Form|Step' -update writes the records of testdata/forms anew. It is for a form that has a new number,
// or that no deployment has ever written.
var update = flag.Bool("update", false, "write testdata/forms anew")

// TestEveryKindHasItsForms: numbers that make sense, with a step between each two that are read.
func TestEveryKindHasItsForms(t *testing.T) {
	t.Parallel()
	for _, kind := range schema.Kinds() {
		n := schema.Of(kind)
		if n.Writes < 1 || n.Reads < n.Writes || n.Reads > n.Writes+1 {
			t.Errorf("%s is written as %d and read up to %d", kind, n.Writes, n.Reads)
		}
	}
	for kind, steps := range vault.Steps() {
		if !slices.Contains(stored(), kind) {
			t.Errorf("%s is no item, and has steps", kind)
		}
		reads := schema.Of(kind).Reads
		for _, from := range slices.Sorted(maps.Keys(steps)) {
			if _, next := steps[from+1]; from >= reads || from+1 < reads && !next {
				t.Errorf("%s: the step from %d leads nowhere", kind, from)
			}
		}
		if reads > 1 && steps[reads-1] == nil {
			t.Errorf("%s: nothing leads to %d", kind, reads)
		}
	}
}

// TestRecordsKeepTheirForm: what is written today is what the files keep, or it has another number.
func TestRecordsKeepTheirForm(t *testing.T) { //nolint:paralleltest // with -update it writes what others read
	_, items := lived(t)
	for _, kind := range stored() {
		if len(items[kind]) == 0 {
			t.Errorf("there is no %s", kind)
			continue
		}
		file := formFile(kind, schema.Of(kind).Writes, "")
		if *update {
			writeFile(t, file, items[kind])
		}
		var before []filed
		readFile(t, file, &before)
		types := map[string]string{}
		for _, item := range before {
			for name, v := range item.Attrs {
				types[name] = v.kind()
			}
		}
		seen := map[string]bool{}
		for _, item := range items[kind] {
			for name, v := range item.Attrs {
				seen[name] = true
				if types[name] != v.kind() {
					t.Errorf(unnumbered, kind, "the attribute "+name+" is new, or of another type")
				}
			}
		}
		for name := range types {
			if !seen[name] && !strings.HasPrefix(name, "notice") {
				t.Errorf(unnumbered, kind, "the attribute "+name+" is not written any more")
			}
		}
	}
}

// members lists the members of a type's JSON, with those inside of them.
func members(t reflect.Type, prefix string, out map[string]bool) {
	switch t.Kind() { //nolint:exhaustive // the others have no members
	case reflect.Pointer, reflect.Slice, reflect.Map:
		members(t.Elem(), prefix, out)
		return
	case reflect.Struct:
	default:
		return
	}
	if t == reflect.TypeFor[time.Time]() {
		return
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case field.Anonymous && name == "":
			members(field.Type, prefix, out)
		default:
			if name == "" {
				name = field.Name
			}
			out[prefix+name] = true
			members(field.Type, prefix+name+".", out)
		}
	}
}

// TestDocumentsKeepTheirForm: a member that this version does not know is lost when it writes the document, so a new one takes
// a number.
func TestDocumentsKeepTheirForm(t *testing.T) { //nolint:paralleltest // likewise
	now := map[string][]string{}
	for kind, document := range vault.Documents() {
		found := map[string]bool{}
		members(reflect.TypeOf(document), "", found)
		now[fmt.Sprintf("%s.%d", kind, schema.Of(kind).Writes)] = slices.Sorted(maps.Keys(found))
	}
	file := filepath.Join("testdata", "forms", "documents.json")
	if *update {
		writeFile(t, file, now)
	}
	var before map[string][]string
	readFile(t, file, &before)
	for name, found := range now {
		if !slices.Equal(found, before[name]) {
			t.Errorf(unnumbered, name, fmt.Sprintf("its document has\n%q, and had\n%q", found, before[name]))
		}
	}
}

// TestEarlierFormsAreRead: records of every form that is still read, as earlier versions left them, with the number and, of the
// first form, without.
func TestEarlierFormsAreRead(t *testing.T) {
	t.Parallel()
	for _, kind := range stored() {
		for number := range schema.Of(kind).Reads {
			number++
			if number < schema.Of(kind).Writes && vault.Steps()[kind][number] == nil {
				continue // not read any more
			}
			if number > schema.Of(kind).Writes {
				continue // not written yet
			}
			var items []filed
			readFile(t, formFile(kind, number, ""), &items)
			for _, numbered := range []bool{true, false} {
				if !numbered && number > 1 {
					continue
				}
				r := newRig(t, plain)
				for _, file := range items {
					item := file.item()
					if !numbered {
						delete(item.Attrs, store.AttrSchema)
					}
					r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: file.Table, Key: item.Key, Set: item.Attrs}))
					got, err := r.Items.Get(r.Context(), file.Table, item.Key)
					if err != nil || len(got.Attrs) < len(item.Attrs) {
						t.Errorf("%s %d: %v", kind, number, err)
					}
					// And changed: the write keeps all of it.
					touch := store.Op{Verb: store.Update, Table: file.Table, Key: item.Key, If: store.Exists(), Set: store.Attrs{"write": "w"}}
					r.ok(r.Items.Apply(r.Context(), touch))
					raw, err := r.engine.Get(r.Context(), file.Table, item.Key)
					r.ok(err)
					if raw.Attrs.Int(store.AttrSchema) != schema.Of(kind).Writes || len(raw.Attrs) < len(item.Attrs) {
						t.Errorf("%s %d is changed into %v", kind, number, raw.Attrs)
					}
				}
				r.readAll(t, kind, items)
			}
		}
	}
}

// readAll reads records of a kind as the vault's callers do.
func (r *rig) readAll(t *testing.T, kind schema.Kind, items []filed) {
	t.Helper()
	ctx, n := r.Context(), 0
	count := func(found int, err error) {
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		n += found
	}
	switch kind { //nolint:exhaustive // the others are read one by one
	case schema.Entry:
		page, err := r.Entries(ctx, tenant, "", 100, func(record.Entry) bool { return true })
		count(len(page.Items), err)
	case schema.App:
		apps, err := r.Apps(ctx, tenant)
		count(len(apps), err)
	case schema.Connector:
		page, err := r.Connectors(ctx, tenant, "", 100, func(record.Connector) bool { return true })
		count(len(page.Items), err)
	case schema.Key:
		page, err := r.Keys(ctx, tenant, "", 100)
		count(len(page.Items), err)
	case schema.ConnectorToken:
		page, err := r.ConnectorTokens(ctx, tenant, "", 100)
		count(len(page.Items), err)
	case schema.Webhook:
		hooks, err := r.Webhooks(ctx, tenant)
		count(len(hooks), err)
	case schema.Event:
		page, err := r.Events(ctx, tenant, "", 100, func(record.Event) bool { return true })
		count(len(page.Items), err)
	case schema.AuditEvent:
		page, err := r.AuditEvents(ctx, tenant, "", time.Time{}, 100, func(audit.Event) bool { return true })
		count(2*len(page.Items), err) // each lies there twice
	case schema.Credential:
		for _, item := range items {
			_, found, err := r.Credential(ctx, tenant, strings.TrimPrefix(item.Partition, tenant+"#"))
			if found {
				count(1, err)
			}
		}
	case schema.Request:
		for _, item := range items {
			_, err := r.Request(ctx, tenant, strings.TrimPrefix(item.Sort, "request#"))
			count(1, err)
		}
	default:
		return
	}
	if n != len(items) {
		t.Errorf("%s: %d of %d are read", kind, n, len(items))
	}
}

// TestStepsMakeWhatTheyShould: each step, on records of the form that it begins with, makes what a file keeps, every time the
// same, and leaves alone what it was given. The step of the tests' own next version is held to it too.
func TestStepsMakeWhatTheyShould(t *testing.T) {
	t.Parallel()
	type stepped struct {
		kind schema.Kind
		from int64
		more string
		make store.Step
	}
	all := []stepped{{schema.Credential, 1, ".next", vaulttest.Step}, {schema.Entry, 1, ".next", vaulttest.Step}}
	for kind, steps := range vault.Steps() {
		for from, step := range steps {
			all = append(all, stepped{kind, from, ".stepped", step})
		}
	}
	for _, s := range all {
		var before []filed
		readFile(t, formFile(s.kind, s.from, ""), &before)
		var after []filed
		for _, file := range before {
			item, untouched := file.item(), file.item()
			made, err := s.make(item.Key, item.Attrs)
			again, againErr := s.make(item.Key, item.Attrs)
			if err != nil || againErr != nil || !reflect.DeepEqual(made, again) || !reflect.DeepEqual(item, untouched) {
				t.Errorf("%s from %d: %v; it is no pure function", s.kind, s.from, errors.Join(err, againErr))
			}
			after = append(after, fileOf(file.Table, store.Item{Key: item.Key, Attrs: made}))
		}
		file := formFile(s.kind, s.from, s.more)
		if *update {
			writeFile(t, file, after)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(after, "", "\t")
		if err != nil || !bytes.Equal(append(got, '\n'), want) {
			t.Errorf("the step of %s from %d makes something else than %s keeps (%v)", s.kind, s.from, file, err)
		}
	}
}

// TestFormsThatAreNotReadAnyMore: what is older than the oldest step is no newer version's, and waiting is no help.
func TestFormsThatAreNotReadAnyMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	e := r.entry("shop")
	forms := func(table store.Table, key store.Key) (store.Form, bool) {
		form, known := vault.Forms(table, key)
		if kind, _ := vault.KindOf(table, key); kind == schema.Entry {
			form.Writes, form.Reads = 3, 3
			form.Steps = map[int64]store.Step{2: vaulttest.Step}
		}
		return form, known
	}
	items := store.WithForms(r.engine, forms)
	_, err := items.Get(r.Context(), store.Records, store.Key{Partition: tenant, Sort: "entry#" + e.ID})
	var unreadable *store.Unreadable
	if !errors.As(err, &unreadable) || fault.IsNewer(err) {
		t.Errorf("the answer is %v", err)
	}
	broken := errors.New("a step that fails")
	forms3 := func(table store.Table, key store.Key) (store.Form, bool) {
		form, known := forms(table, key)
		if form.Steps != nil {
			form.Steps = map[int64]store.Step{1: func(store.Key, store.Attrs) (store.Attrs, error) { return nil, broken }}
		}
		return form, known
	}
	if _, err = store.WithForms(r.engine, forms3).Get(r.Context(), store.Records, store.Key{Partition: tenant, Sort: "entry#" + e.ID}); !errors.Is(err, broken) {
		t.Errorf("the answer is %v", err)
	}
}

// TestANewerTokenSetIsNotOpened: what this version does not know of a set would be lost with its next write.
func TestANewerTokenSetIsNotOpened(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	c := r.authorized(r.entry("shop"))
	for number, newer := range map[int64]bool{0: false, 1: false, 2: true} {
		sealed, err := r.Sealer.Seal(r.Context(), vault.TokenBinding(c), []byte(`{"access":"a","schema":`+strconv.FormatInt(number, 10)+`}`))
		r.ok(err)
		c.Sealed = sealed
		set, err := r.OpenTokens(r.Context(), c)
		if fault.IsNewer(err) != newer || newer != set.Access.IsZero() {
			t.Errorf("a set of form %d: %v", number, err)
		}
	}
	c.Sealed[0] = 2 // the envelope
	if _, err := r.OpenTokens(r.Context(), c); !fault.IsNewer(err) {
		t.Errorf("a newer envelope: %v", err)
	}
	c.Sealed[0] = 0
	if _, err := r.OpenTokens(r.Context(), c); err == nil || fault.IsNewer(err) {
		t.Errorf("what is no envelope: %v", err)
	}
}
