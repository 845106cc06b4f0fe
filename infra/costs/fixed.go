package main

import (
	"errors"
	"path/filepath"
	"slices"

	"connectorvault/infra/stack"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider/catalog"
)

// fixed is what the templates say: how much memory functions have, and what is paid for whether or not it is used.
type fixed struct {
	memory                              map[string]float64 // MB, by function
	queues, alarms, metrics, dashboards int                // queues that a function polls; metrics of alarms; of our own, the most that there can be
}

// readFixed reads the templates of the project that lies at root.
func readFixed(root string) (fixed, error) {
	f := fixed{memory: map[string]float64{}}
	main, err := stack.Load(filepath.Join(root, "template.yaml"))
	if err != nil {
		return f, err
	}
	functions, err := main.Functions()
	if err != nil {
		return f, err
	}
	for folder, function := range functions {
		var in struct {
			MemorySize float64
			Events     map[string]struct{ Type string }
		}
		if err := main.Resources[function.ID].Decode(&in); err != nil {
			return f, err
		}
		f.memory[folder] = in.MemorySize
		for _, source := range in.Events {
			if source.Type == "SQS" {
				f.queues++
			}
		}
	}
	watch, err := stack.Load(filepath.Join(root, "infra", "observability.yaml"))
	if err != nil {
		return f, err
	}
	f.dashboards = len(watch.Of("AWS::CloudWatch::Dashboard"))
	f.metrics = ownMetrics()
	for _, alarm := range watch.Of("AWS::CloudWatch::Alarm") {
		var in struct {
			Metrics []struct{ MetricStat map[string]any }
		}
		if err := alarm.Decode(&in); err != nil {
			return f, err
		}
		asked := 0
		for _, metric := range in.Metrics {
			if metric.MetricStat != nil {
				asked++
			}
		}
		f.alarms += max(1, asked)
	}
	if f.queues == 0 || f.alarms == 0 || slices.Contains([]float64{f.memory[reading], f.memory[tokens], f.memory[tenancy], f.memory[delivering], f.memory[authorizer]}, 0) {
		return f, errors.New("the templates are not read as they are written")
	}
	return f, nil
}

// ownMetrics counts the metrics that the functions can come to write. CloudWatch is paid for those that occur, so a small stack
// pays for fewer.
func ownMetrics() int {
	sum := 0
	for _, d := range metric.All() {
		sum += d.Most(len(catalog.New(catalog.Options{}).Names()))
	}
	return sum
}
