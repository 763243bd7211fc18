// Command load sends requests to a service at a steady rate, each on a connection of its own, and says
// every second what came of them. It never asks again when a request has failed: what is lost is
// counted, from the first answer on: a Service's address reaches the node a moment after its pods are
// ready. It ends by itself.
//
//	-url       where to, such as http://iris-predictor/v1/models/model:predict
//	-body      what to send; without it, a GET
//	-rate      requests a second (100)
//	-requests  ends after so many (100000)
//	-for       ends after so long (10m)
//
// A line is {"requests": 120, "failed": 0, "versions": {"1": 100, "2": 20}, "last": "2", "errors": []}:
// the versions are those that the answers name, and last is the latest's.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type tally struct {
	mutex    sync.Mutex
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Versions map[string]int `json:"versions"`
	Last     string         `json:"last"`
	Errors   []string       `json:"errors"`
}

func main() {
	url := flag.String("url", "", "where to")
	body := flag.String("body", "", "what to send; without it, a GET")
	rate := flag.Int("rate", 100, "requests a second")
	requests := flag.Int("requests", 100_000, "ends after so many")
	limit := flag.Duration("for", 10*time.Minute, "ends after so long")
	flag.Parse()
	if *url == "" || *rate < 1 {
		fmt.Fprintln(os.Stderr, "-url is missing, or -rate is not at least 1")
		os.Exit(2)
	}
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	end := time.After(*limit)
	for {
		_, err := ask(client, *url, *body)
		if err == nil {
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-end:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	results := tally{Versions: map[string]int{}, Errors: []string{}}
	var running sync.WaitGroup
	ticks := time.NewTicker(time.Second / time.Duration(*rate))
	reports := time.NewTicker(time.Second)
	sent := 0
loop:
	for sent < *requests {
		select {
		case <-ticks.C:
			sent++
			running.Add(1)
			go func() {
				defer running.Done()
				results.add(ask(client, *url, *body))
			}()
		case <-reports.C:
			results.report()
		case <-end:
			break loop
		}
	}
	running.Wait()
	results.report()
}

// ask returns the version that the answer names.
func ask(client *http.Client, url, body string) (string, error) {
	var answer *http.Response
	var err error
	if body == "" {
		answer, err = client.Get(url)
	} else {
		answer, err = client.Post(url, "application/json", strings.NewReader(body))
	}
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", answer.StatusCode, content)
	}
	var said struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(content, &said); err != nil {
		return "", err
	}
	return said.Version, nil
}

func (t *tally) add(version string, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.Requests++
	if err != nil {
		t.Failed++
		if len(t.Errors) < 5 {
			t.Errors = append(t.Errors, fmt.Sprintf("request %d: %s", t.Requests, err))
		}
		return
	}
	t.Versions[version]++
	t.Last = version
}

func (t *tally) report() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(t); err != nil {
		os.Exit(1)
	}
}
