package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"
)

// logs are the files in which a run leaves its metrics, step by step.
type logs struct {
	events  *os.File
	metrics *os.File
}

func openLogs(directory string) (*logs, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	// TensorBoard finds event files by this form of name.
	name := fmt.Sprintf("events.out.tfevents.%d.%s", time.Now().Unix(), host)
	events, err := os.Create(filepath.Join(directory, name))
	if err != nil {
		return nil, err
	}
	if _, err := events.Write(record(versionEvent(now()))); err != nil {
		return nil, err
	}
	metrics, err := os.Create(filepath.Join(directory, "metrics.jsonl"))
	if err != nil {
		return nil, err
	}
	return &logs{events: events, metrics: metrics}, nil
}

// write adds one step; it does nothing where no logs are wanted.
func (l *logs) write(step, epoch int, loss float64) error {
	if l == nil {
		return nil
	}
	if _, err := l.events.Write(record(scalarEvent(now(), step, "loss", loss))); err != nil {
		return err
	}
	line := struct {
		Step  int      `json:"step"`
		Epoch int      `json:"epoch"`
		Loss  *float64 `json:"loss"`
	}{step, epoch, &loss}
	if math.IsInf(loss, 0) || math.IsNaN(loss) {
		line.Loss = nil // JSON has no such numbers
	}
	return json.NewEncoder(l.metrics).Encode(line)
}

func now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }
