package environment

import (
	"os"
	"time"

	"connectorvault/shared/metric"
)

// Metrics writes beside the logs and not through their logger, whose level an operator may raise.
func Metrics(v *Variables, providers ...string) *metric.Recorder {
	return metric.New(metric.Config{Out: os.Stdout, Namespace: v.Must("CV_METRICS_NAMESPACE"), Providers: providers, Now: time.Now})
}
