package boot

import (
	"os"
	"time"

	"connectorvault/shared/metric"
)

// MustMetrics makes what counts for a function that is not made of a bundle, or ends the process with what is missing.
func MustMetrics() *metric.Recorder {
	v := &variables{env: os.LookupEnv}
	out := metrics(v)
	exitOn(v.err())
	return out
}

// metrics writes beside the logs and not through their logger, whose level an operator may raise.
func metrics(v *variables, providers ...string) *metric.Recorder {
	return metric.New(metric.Config{Out: os.Stdout, Namespace: v.must("CV_METRICS_NAMESPACE"), Providers: providers, Now: time.Now})
}
