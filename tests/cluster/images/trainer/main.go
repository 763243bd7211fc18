// Command train fits a straight line to noisy points by gradient descent and prints its loss after
// every epoch. It stands in for a training script in tests and the demo: it really learns, takes
// as long as it is told, gives the same numbers for the same seed, and fails when asked to. All it
// prints of its progress is `name=value`, as Katib's collector reads it.
//
// Each setting is a variable, or a flag: EPOCH_SECONDS=1 or --epoch-seconds=1, which counts more.
//
//	EPOCHS         how many epochs (5)
//	EPOCH_SECONDS  how long an epoch waits before it begins (0.5)
//	STEPS          how many steps of gradient descent an epoch has (2)
//	STEP_SECONDS   how long a step waits before it begins (0)
//	PRINT_EVERY    prints the loss after every so many steps as well (never)
//	LEARNING_RATE  how far a step goes; above 1 the loss grows (0.4)
//	FAIL_AT        the epoch at which it exits with 3 (never)
//	SEED           decides the points, together with the rank (1)
//	LOG_DIR        where to write TensorBoard's events and metrics.jsonl, a line for each step; with
//	               several nodes each has a directory rank-<n> there (nowhere)
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	points    = 64
	slope     = 3.0
	intercept = -1.0
	noise     = 0.05
)

type sample struct{ x, y float64 }

type model struct{ weight, bias float64 }

func variable[T any](name string, fallback T, parse func(string) (T, error)) T {
	text, found := os.LookupEnv(name)
	if !found || text == "" {
		return fallback
	}
	value, err := parse(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s=%q is not a number\n", name, text)
		os.Exit(2)
	}
	return value
}

func float(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func flagName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }

func integer(name string, fallback int) *int {
	return flag.Int(flagName(name), variable(name, fallback, strconv.Atoi), "like "+name)
}

func number(name string, fallback float64) *float64 {
	return flag.Float64(flagName(name), variable(name, fallback, float), "like "+name)
}

// rank is the number of this node, as a torch runtime or an indexed Job tells it.
func rank() int {
	return variable("PET_NODE_RANK", variable("JOB_COMPLETION_INDEX", 0, strconv.Atoi), strconv.Atoi)
}

func makeSamples(seed, rank int) []sample {
	random := rand.New(rand.NewPCG(uint64(seed), uint64(rank)))
	samples := make([]sample, points)
	for i := range samples {
		x := random.Float64()*2 - 1
		samples[i] = sample{x, slope*x + intercept + random.NormFloat64()*noise}
	}
	return samples
}

// step moves the model against the gradient of the mean squared error.
func (m *model) step(samples []sample, learningRate float64) {
	var weight, bias float64
	for _, s := range samples {
		miss := m.weight*s.x + m.bias - s.y
		weight += 2 * miss * s.x
		bias += 2 * miss
	}
	count := float64(len(samples))
	m.weight -= learningRate * weight / count
	m.bias -= learningRate * bias / count
}

func (m *model) loss(samples []sample) float64 {
	var sum float64
	for _, s := range samples {
		miss := m.weight*s.x + m.bias - s.y
		sum += miss * miss
	}
	return sum / float64(len(samples))
}

// wait lasts so many seconds, or until the program is told to stop.
func wait(seconds float64, stop <-chan os.Signal, rank, epoch int) {
	select {
	case received := <-stop:
		fmt.Fprintf(os.Stderr, "rank=%d stopped by %v in epoch %d\n", rank, received, epoch)
		os.Exit(143)
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	}
}

func main() {
	epochs := integer("EPOCHS", 5)
	epochSeconds := number("EPOCH_SECONDS", 0.5)
	steps := integer("STEPS", 2)
	stepSeconds := number("STEP_SECONDS", 0)
	printEvery := integer("PRINT_EVERY", 0)
	learningRate := number("LEARNING_RATE", 0.4)
	failAt := integer("FAIL_AT", 0)
	seed := integer("SEED", 1)
	logDirectory := flag.String("log-dir", os.Getenv("LOG_DIR"), "like LOG_DIR")
	flag.Parse()
	nodes := variable("PET_NNODES", 1, strconv.Atoi)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	rank := rank()
	var logs *logs
	if *logDirectory != "" {
		directory := *logDirectory
		if nodes > 1 {
			directory = filepath.Join(directory, fmt.Sprintf("rank-%d", rank))
		}
		var err error
		if logs, err = openLogs(directory); err != nil {
			fmt.Fprintf(os.Stderr, "LOG_DIR: %v\n", err)
			os.Exit(2)
		}
	}
	samples := makeSamples(*seed, rank)
	var fitted model
	fmt.Printf("rank=%d nodes=%d seed=%d points=%d\n", rank, nodes, *seed, points)
	for epoch := 1; epoch <= *epochs; epoch++ {
		wait(*epochSeconds, stop, rank, epoch)
		if epoch == *failAt {
			fmt.Fprintf(os.Stderr, "rank=%d failed at epoch %d, as FAIL_AT says\n", rank, epoch)
			os.Exit(3)
		}
		for inEpoch := range *steps {
			wait(*stepSeconds, stop, rank, epoch)
			fitted.step(samples, *learningRate)
			step, loss := (epoch-1)**steps+inEpoch+1, fitted.loss(samples)
			if *printEvery > 0 && step%*printEvery == 0 {
				fmt.Printf("step=%d loss=%.6f\n", step, loss)
			}
			if err := logs.write(step, epoch, loss); err != nil {
				fmt.Fprintf(os.Stderr, "LOG_DIR: %v\n", err)
				os.Exit(2)
			}
		}
		fmt.Printf("epoch=%d loss=%.6f\n", epoch, fitted.loss(samples))
	}
	fmt.Printf("done weight=%.3f bias=%.3f\n", fitted.weight, fitted.bias)
}
