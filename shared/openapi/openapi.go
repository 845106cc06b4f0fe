// Package openapi is the description of the HTTP API, for programs.
//
// The argument: whoever writes a client wants the API as data, and data that is written beside the code parts from it
// unnoticed. So the document is one file, compiled into the function that serves it, and tests hold it to the routes, to
// the template, to the members of what is answered, and to the fields of the providers; every example in it is sent to
// the running program.
//
// The callback function serves it: the others open with a key alone, and this one is reached without. The file costs it
// less than the pages that it has anyway, and it loads nothing more.
package openapi

import _ "embed" // for the document

// ContentType is what the document is (RFC 9512).
const ContentType = "application/yaml"

//go:embed openapi.yaml
var document string

// Document is the document, OpenAPI 3.1 in YAML.
func Document() []byte { return []byte(document) }
