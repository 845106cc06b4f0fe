package amazonsim

import (
	"net/url"
	"strings"
)

// matchPath compares an escaped request path with a template such as "/orders/v0/orders/{orderId}". Segments
// are unescaped one by one, so that a SKU may hold an encoded slash. allowEmpty lets a parameter be empty,
// which only examples of the static sandbox need.
func matchPath(template, escaped string, allowEmpty bool) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(escaped, "/")
	if len(want) != len(got) {
		return nil, false
	}
	vars := make(map[string]string)
	for i, segment := range want {
		text, err := url.PathUnescape(got[i])
		if err != nil {
			return nil, false
		}
		name, isVar := pathVariable(segment)
		switch {
		case !isVar && segment != text:
			return nil, false
		case isVar && text == "" && !allowEmpty:
			return nil, false
		case isVar:
			vars[name] = text
		}
	}
	return vars, true
}

func pathVariable(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// literals counts the fixed segments of a template: "/payouts/expected" wins over "/payouts/{id}".
func literals(template string) int {
	n := 0
	for segment := range strings.SplitSeq(template, "/") {
		if _, isVar := pathVariable(segment); !isVar {
			n++
		}
	}
	return n
}

// findOperation looks a request up in the table. Another method on a known path is as unknown as another path.
func findOperation(method, escaped string) (operation, map[string]string, bool) {
	var best operation
	var bestVars map[string]string
	found := false
	for _, op := range operationTable {
		if op.method != method {
			continue
		}
		vars, ok := matchPath(op.path, escaped, false)
		if ok && (!found || literals(op.path) > literals(best.path)) {
			best, bestVars, found = op, vars, true
		}
	}
	return best, bestVars, found
}
