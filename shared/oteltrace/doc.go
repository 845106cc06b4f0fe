// Package oteltrace keeps spans with OpenTelemetry and sends them to a collector, in programs that are built with the tag otel.
//
// The argument: a function stands still once it has answered, so what is to be sent later is sent by nobody. Spans are therefore
// sent when the outermost one ends, before its caller hears anything, and a collector that does not answer costs a second and
// never an answer. They are sent as OTLP in JSON over HTTP by code of this package: OpenTelemetry's own exporter brings gRPC and
// protocol buffers into every function. What is sent is made of the lists of package trace alone; whatever else may be attached
// to a span, by whatever way it got there, is left out here once more.
package oteltrace
