package stack_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"connectorvault/infra/stack"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/authorizer"
	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/invoke"
	"connectorvault/shared/boot/notifier"
	"connectorvault/shared/boot/planning"
	"connectorvault/shared/boot/queue"
	"connectorvault/shared/boot/secrets"
)

// What package boot and those below it find for a function, by name; what a main names is what its function needs.
var needs = map[string]environment.Need{"environment.PublicURL": environment.PublicURL, "invoke.TokenService": invoke.TokenService,
	"queue.Calls": queue.Calls, "queue.Webhooks": queue.Webhooks, "boot.Notices": boot.Notices, "secrets.Manager": secrets.Manager}

func TestEveryFunctionHasTheVariablesItReads(t *testing.T) {
	t.Parallel()
	for name, f := range functions(t) {
		starts, named := bootCall(t, name)
		asked := map[string]bool{}
		switch starts {
		case "authorizer.MustLoad":
			_, err := authorizer.Load(func(variable string) (string, bool) {
				asked[variable] = true
				return value(f, variable)
			})
			if err != nil {
				t.Errorf("%s does not start with what the template gives it: %v", name, err)
			}
		case "planning.MustLoad":
			_, err := planning.Load(func(variable string) (string, bool) {
				asked[variable] = true
				return value(f, variable)
			})
			if err != nil {
				t.Errorf("%s does not start with what the template gives it: %v", name, err)
			}
		case "notifier.MustLoad":
			_, _, _, err := notifier.Load(func(variable string) (string, bool) {
				asked[variable] = true
				return value(f, variable)
			})
			if err != nil {
				t.Errorf("%s does not start with what the template gives it: %v", name, err)
			}
		default:
			var list []environment.Need
			for _, need := range named {
				if needs[need] == nil {
					t.Fatalf("%s: this test knows no %s", name, need)
				}
				list = append(list, needs[need])
			}
			_, err := boot.Load(func(variable string) (string, bool) {
				asked[variable] = true
				return value(f, variable)
			}, list...)
			if err != nil {
				t.Errorf("%s does not start with what the template gives it: %v", name, err)
			}
		}
		for variable := range f.Environment {
			if !asked[variable] {
				t.Errorf("%s gets %s, which it never reads", name, variable)
			}
		}
	}
}

// value is a variable as the function would find it once deployed.
func value(f stack.Function, variable string) (string, bool) {
	switch {
	case variable == "CV_PUBLIC_URL" && f.Environment[variable] == "Api.ApiEndpoint":
		return "https://abcdef1234.execute-api.eu-central-1.amazonaws.com", true
	case strings.HasPrefix(variable, "AWS_"):
		return "set-by-lambda", true
	default:
		v, ok := f.Environment[variable]
		return v, ok
	}
}

// bootCall finds what a function's main calls of package boot, and what it passes.
func bootCall(t *testing.T, name string) (function string, arguments []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "functions", name, "main.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]bool{} // boot, and those below it
	for _, spec := range file.Imports {
		if imported, _ := strconv.Unquote(spec.Path.Value); strings.HasPrefix(imported+"/", "connectorvault/shared/boot/") {
			packages[path.Base(imported)] = true
		}
	}
	ofBoot := func(e ast.Expr) string {
		if s, ok := e.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && packages[x.Name] {
				return x.Name + "." + s.Sel.Name
			}
		}
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || ofBoot(call.Fun) == "" {
			return true
		}
		function = ofBoot(call.Fun)
		for _, argument := range call.Args {
			arguments = append(arguments, ofBoot(argument))
		}
		return true
	})
	if function == "" {
		t.Fatalf("functions/%s starts without package boot", name)
	}
	return function, arguments
}

// clients are what each service of AWS is reached through.
var clients = map[string]string{
	"dynamodb":       "github.com/aws/aws-sdk-go-v2/service/dynamodb",
	"secretsmanager": "github.com/aws/aws-sdk-go-v2/service/secretsmanager",
	"sqs":            "github.com/aws/aws-sdk-go-v2/service/sqs",
	"lambda":         "connectorvault/shared/boot/invoke",
}

// A function has the client of a service if its role allows it anything there, and no other: what it links beside them it would
// prepare with every cold start, for nothing.
func TestAFunctionLinksTheClientsThatItsRoleAllows(t *testing.T) {
	t.Parallel()
	command := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Deps \" \"}}", "./functions/...")
	command.Dir = root
	said, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string][]string{} // by folder
	for line := range strings.Lines(string(said)) {
		words := strings.Fields(line)
		linked[strings.TrimPrefix(words[0], "connectorvault/functions/")] = words[1:]
	}
	for name, f := range functions(t) {
		if len(linked[name]) == 0 {
			t.Errorf("functions/%s links nothing", name)
		}
		allowed := map[string]bool{"logs": true} // Lambda itself writes them
		for _, grant := range f.Role.Grants() {
			service, _, _ := strings.Cut(grant, ":")
			if allowed[service] = true; clients[service] == "" && service != "logs" {
				t.Errorf("%s may %s, for which no client is known", name, grant)
			}
		}
		for service, client := range clients {
			if has := slices.Contains(linked[name], client); has != allowed[service] {
				t.Errorf("%s links %s: %v; its role allows something of %s: %v", name, client, has, service, allowed[service])
			}
		}
		for _, dependency := range linked[name] {
			rest, service := strings.CutPrefix(dependency, "github.com/aws/aws-sdk-go-v2/service/")
			if client := clients[strings.Split(rest, "/")[0]]; service && !strings.HasPrefix(rest, "internal/") && client == "" {
				t.Errorf("%s links %s, a client that nobody knows of", name, dependency)
			}
		}
	}
}
