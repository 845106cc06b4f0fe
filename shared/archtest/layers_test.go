package archtest_test

// layers says how high each package of shared stands. A package may import lower ones only, so two of the same number
// never see each other: no provider knows another, no use case another, no driver another. A new package is added here,
// as low as what it imports allows.
var layers = map[string]int{
	"secret":    0,
	"fault":     0,
	"outbound":  0,
	"version":   0,
	"transport": 0,
	"openapi":   0,
	"schema":    0,

	"audit":            1,
	"ident":            1,
	"metric":           1,
	"record":           1,
	"oauth":            1,
	"seal":             1,
	"store":            1,
	"resource":         1,
	"store/enginetest": 1,

	"openapi/openapitest": 1,

	"metric/metrictest": 2,

	"access":          2,
	"metered":         2,
	"oauth/oauthtest": 2,
	"provider":        2,
	"vault":           2,
	"tokens":          2,
	"webhook":         2,

	"api":                   3,
	"issuer":                3,
	"keyring":               3,
	"provider/amazon":       3,
	"provider/clara":        3,
	"provider/providertest": 3,
	"provider/sage":         3,
	"route":                 3,
	"store/dynamostore":     3,
	"store/secretsstore":    3,
	"store/secretstest":     3,
	"store/sqlitestore":     3,
	"store/storetest":       3,
	"trace":                 3,

	"lambdahttp":       4,
	"oteltrace":        4,
	"provider/catalog": 4,
	"store/dynamotest": 4,
	"traced":           4,
	"vault/vaulttest":  4,

	"admin":     5,
	"authorize": 5,
	"notify":    5,
	"planner":   5,
	"read":      5,
	"refresh":   5,
	"tenants":   5,

	"bundle":            6,
	"bundle/bundletest": 6,

	"boot/environment": 5,

	"boot/authorizer": 6,
	"boot/invoke":     6,
	"boot/notifier":   6,
	"boot/queue":      6,
	"boot/secrets":    6,

	"boot":          7,
	"boot/planning": 7,
}

// foreign says which packages may import modules of others, where not all may. A package is named with the packages
// below it; what is not named here, such as a small library without a network, is free.
var foreign = map[string][]string{
	"golang.org/x/oauth2":           {"shared/oauth"},
	"github.com/coreos/go-oidc/v3":  {"shared/issuer"},
	"github.com/go-jose/go-jose/v4": {"shared/issuer", "infra"},
	"modernc.org/sqlite":            {"shared/store/sqlitestore", "infra"},
	"github.com/aws/aws-lambda-go":  {"shared/lambdahttp", "shared/bundle/bundletest", "functions", "infra", "events"},
	"github.com/aws/aws-sdk-go-v2":  {"shared/store/dynamostore", "shared/store/dynamotest", "shared/store/secretsstore", "shared/store/secretstest", "shared/boot", "infra"},
	"github.com/aws/smithy-go":      {"shared/store/dynamostore", "shared/store/dynamotest", "shared/store/secretsstore", "shared/store/secretstest", "infra"},
	// They find methods by name, and then the linker keeps every method that any name could mean: megabytes of every client.
	"html/template": {"infra"},
	"text/template": {"infra"},

	"go.opentelemetry.io":             {"shared/oteltrace"},
	"connectorvault/shared/oteltrace": {"shared/boot/environment"},

	"connectorvault/functions":               {"functions", "infra/local", "events"},
	"connectorvault/infra":                   {"infra", "events"},
	"connectorvault/shared/boot":             {"functions", "infra"},
	"connectorvault/shared/provider/catalog": {"shared/bundle", "shared/boot", "infra", "events"},
}

// linkedBy says which functions may link what not every one needs. What a function links prepares itself with every cold start,
// used or not, and what it does not link cannot be reached through it. Over all steps, unlike foreign.
var linkedBy = map[string][]string{
	"github.com/aws/aws-sdk-go-v2/service/lambda":         {}, // it describes eighty operations to itself; see shared/boot/invoke
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager": {"admin", "notify", "read", "refresh", "tenant"},
	"github.com/aws/aws-sdk-go-v2/service/sqs":            {"admin", "notify", "planner", "refresh"},
	"github.com/coreos/go-oidc/v3":                        {"authorizer"},
	"github.com/go-jose/go-jose/v4":                       {"authorizer"},
	"golang.org/x/oauth2":                                 {"admin", "callback", "notify", "read", "refresh", "tenant", "validate"},
	"maragu.dev/gomponents":                               {"callback"},
	"connectorvault/shared/boot/invoke":                   {"admin", "callback", "read", "tenant", "validate"},
	"connectorvault/shared/bundle":                        {"admin", "callback", "read", "refresh", "tenant", "validate"},
	"connectorvault/shared/notify":                        {"notify"},
	"connectorvault/shared/openapi":                       {"callback"},
	"connectorvault/shared/provider/amazon":               {"admin", "callback", "read", "refresh", "tenant", "validate"},
	"connectorvault/shared/provider/clara":                {"admin", "callback", "read", "refresh", "tenant", "validate"},
	"connectorvault/shared/provider/sage":                 {"admin", "callback", "read", "refresh", "tenant", "validate"},
}

// Names that say nothing of what is in a package, so that everything ends up there.
var empty = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types", "models"}

// Who may look at the clock of the machine. Everybody else is given a clock, so that tests and the local program can
// step it.
var clocks = map[string]string{
	"shared/boot":              "gives the clock to the functions",
	"shared/boot/authorizer":   "likewise",
	"shared/boot/environment":  "likewise",
	"shared/boot/notifier":     "likewise",
	"shared/boot/planning":     "likewise",
	"shared/boot/invoke":       "likewise",
	"shared/boot/queue":        "likewise",
	"shared/provider":          "its Client takes the machine's clock when it is given none",
	"shared/store/sqlitestore": "its Config takes the machine's clock when it is given none",
}

// Who may read the environment.
var environments = map[string]string{
	"shared/boot":             "the one place that knows the variables' names, with the packages below it",
	"shared/boot/authorizer":  "starts a function without the bundle",
	"shared/boot/notifier":    "likewise",
	"shared/boot/planning":    "likewise",
	"shared/store/enginetest": "runs in tests, which are told there whether an engine may be missing",
}
