// Command train fits a straight line to noisy points by gradient descent and prints its loss after
// every epoch. It stands in for a training script in tests and the demo: it really learns, takes
// as long as it is told, gives the same numbers for the same seed, and fails when asked to.
//
//	EPOCHS         how many epochs (5)
//	EPOCH_SECONDS  how long one takes (0.5)
//	FAIL_AT        the epoch at which it exits with 3 (never)
//	SEED           decides the points, together with the rank (1)
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	points       = 64
	learningRate = 0.4
	stepsAnEpoch = 2
	slope        = 3.0
	intercept    = -1.0
	noise        = 0.05
)

type sample struct{ x, y float64 }

type model struct{ weight, bias float64 }

func setting[T any](name string, fallback T, parse func(string) (T, error)) T {
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

// rank is the number of this node, as a torch runtime or an indexed Job tells it.
func rank() int {
	return setting("PET_NODE_RANK", setting("JOB_COMPLETION_INDEX", 0, strconv.Atoi), strconv.Atoi)
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
func (m *model) step(samples []sample) {
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

func main() {
	epochs := setting("EPOCHS", 5, strconv.Atoi)
	seconds := setting("EPOCH_SECONDS", 0.5, float)
	failAt := setting("FAIL_AT", 0, strconv.Atoi)
	seed := setting("SEED", 1, strconv.Atoi)
	nodes := setting("PET_NNODES", 1, strconv.Atoi)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	rank := rank()
	samples := makeSamples(seed, rank)
	var fitted model
	fmt.Printf("rank=%d nodes=%d seed=%d points=%d\n", rank, nodes, seed, points)
	for epoch := 1; epoch <= epochs; epoch++ {
		select {
		case received := <-stop:
			fmt.Fprintf(os.Stderr, "rank=%d stopped by %v in epoch %d\n", rank, received, epoch)
			os.Exit(143)
		case <-time.After(time.Duration(seconds * float64(time.Second))):
		}
		if epoch == failAt {
			fmt.Fprintf(os.Stderr, "rank=%d failed at epoch %d, as FAIL_AT says\n", rank, epoch)
			os.Exit(3)
		}
		for range stepsAnEpoch {
			fitted.step(samples)
		}
		fmt.Printf("epoch=%d loss=%.6f\n", epoch, fitted.loss(samples))
	}
	fmt.Printf("done weight=%.3f bias=%.3f\n", fitted.weight, fitted.bias)
}
