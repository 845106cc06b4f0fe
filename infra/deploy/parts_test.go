package deploy_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"connectorvault/shared/store/secretstest"
)

const (
	root    = "../.."
	region  = "eu-central-1"
	account = "123456789012" // moto's
	bucket  = "connector-vault-uploads"
)

type object = map[string]any

// bed is moto, with a bucket, and Python beside it. All stacks of a test stand in it.
type bed struct {
	*testing.T
	base     string
	python   *python
	uploaded map[string]string // digests of programs, by key
}

// python is the process of parts.py. One request is under way at a time.
type python struct {
	mu  sync.Mutex
	in  io.Writer     // guarded by mu
	out *bufio.Reader // guarded by mu
}

func newBed(t *testing.T) *bed {
	t.Helper()
	if os.Getenv("REQUIRE_ENGINES") != "1" {
		t.Skip("the template is deployed under .ci/run deploy (REQUIRE_ENGINES=1)")
	}
	b := &bed{T: t, base: secretstest.MotoURL(t), uploaded: map[string]string{}}
	command := exec.CommandContext(t.Context(), "python3", "parts.py", b.base)
	command.Stderr = &bytes.Buffer{}
	in, err := command.StdinPipe()
	b.ok(err)
	out, err := command.StdoutPipe()
	b.ok(err)
	b.ok(command.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("parts.py wrote: %s", command.Stderr)
		}
	})
	b.python = &python{in: in, out: bufio.NewReader(out)}
	var versions map[string]string
	b.ask(object{"do": "versions"}, &versions)
	if versions["moto"] != motoVersion {
		b.Errorf("the list of what moto skips is of version %s, and this is %s", motoVersion, versions["moto"])
	}
	var made any
	_ = b.try(object{"do": "call", "service": "s3", "operation": "create_bucket", "parameters": object{"Bucket": bucket, "CreateBucketConfiguration": object{"LocationConstraint": region}}}, &made) // it may be there
	return b
}

// in is the same bed, for a part of the test.
func (b *bed) in(t *testing.T) *bed {
	return &bed{T: t, base: b.base, python: b.python, uploaded: b.uploaded}
}

func (b *bed) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// try asks Python for something.
func (b *bed) try(request object, result any) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	b.python.mu.Lock()
	defer b.python.mu.Unlock()
	if _, err := b.python.in.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("asking parts.py: %w", err)
	}
	line, err := b.python.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("parts.py answers nothing, which it needs aws-sam-translator and boto3 for: %w", err)
	}
	answer := struct {
		Error  string
		Result any
	}{Result: result}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%v: %s", request["operation"], answer.Error)
	}
	return nil
}

func (b *bed) ask(request object, result any) {
	b.Helper()
	b.ok(b.try(request, result))
}

// call carries out an operation of a service.
func (b *bed) call(service, operation string, parameters object) object {
	b.Helper()
	var out object
	b.ask(object{"do": "call", "service": service, "operation": operation, "parameters": parameters}, &out)
	return out
}

// put uploads something.
func (b *bed) put(key string, content []byte) {
	b.Helper()
	var nothing any
	b.ask(object{"do": "put", "bucket": bucket, "key": key, "content": content}, &nothing) // as JSON, bytes are base64
}

// upload puts what sam package would have: a program for each function, which build tells from another, and the nested template.
func (b *bed) upload(build string) map[string]string {
	b.Helper()
	places := map[string]string{"infra/observability.yaml": "https://s3." + region + ".amazonaws.com/" + bucket + "/observability.yaml"}
	text, err := os.ReadFile(filepath.Join(root, "infra", "observability.yaml"))
	b.ok(err)
	b.put("observability.yaml", text)
	folders, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	b.ok(err)
	for _, path := range folders {
		folder := filepath.Base(filepath.Dir(path))
		var file bytes.Buffer
		z := zip.NewWriter(&file)
		w, err := z.Create("bootstrap")
		b.ok(err)
		_, err = fmt.Fprintf(w, "#!/bin/sh\n# %s %s\n", folder, build)
		b.ok(err)
		b.ok(z.Close())
		key := folder + "-" + build + ".zip"
		b.put(key, file.Bytes())
		b.uploaded[key] = digest(sha256.Sum256(file.Bytes()))
		places["functions/"+folder+"/"] = "s3://" + bucket + "/" + key
	}
	return places
}

// lower has the names of members as the API of some services has them: pointInTime for PointInTime.
func lower(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for name, member := range v {
			out[strings.ToLower(name[:1])+name[1:]] = lower(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, member := range v {
			out[i] = lower(member)
		}
		return out
	}
	return v
}
