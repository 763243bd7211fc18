// Command model-server serves a small model over KServe's v1 protocol. Each answer says which version
// of the model gave it, and which pod. It is a plain server, as people write them: when it is told
// to stop it stops, whatever requests are under way.
//
//	MODEL_NAME       the model's name in paths; KServe's flag --model_name counts more (model)
//	MODEL_VERSION    said in each answer (1)
//	MODEL_FILE       a file without which it does not start (none)
//	START_SECONDS    how long the model loads; until then it is not ready (0)
//	PREDICT_SECONDS  how long a prediction takes (0)
//	PORT             where it listens; KServe's flag --http_port counts more (8080)
//
// Paths: / and /v2/health/live say that it lives; /v1/models, /v1/models/NAME and /v2/health/ready
// whether it is ready; POST /v1/models/NAME:predict with {"instances": [...]} predicts, for each
// list of numbers or number, their sum.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

type server struct {
	name    string
	version string
	pod     string
	ready   time.Time
	predict time.Duration
}

func main() {
	log.SetFlags(0)
	name := flag.String("model_name", variable("MODEL_NAME", "model"), "like MODEL_NAME")
	port := flag.String("http_port", variable("PORT", "8080"), "like PORT")
	flag.Parse()
	if file := os.Getenv("MODEL_FILE"); file != "" {
		if _, err := os.Stat(file); err != nil {
			log.Fatalf("%s: no such file", file)
		}
	}
	pod, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	s := &server{
		name:    *name,
		version: variable("MODEL_VERSION", "1"),
		pod:     pod,
		ready:   time.Now().Add(seconds("START_SECONDS")),
		predict: seconds("PREDICT_SECONDS"),
	}
	log.Printf("model %s, version %s, listens on port %s", s.name, s.version, *port)
	log.Fatal(http.ListenAndServe(":"+*port, s))
}

func variable(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func seconds(name string) time.Duration {
	number, err := strconv.ParseFloat(variable(name, "0"), 64)
	if err != nil {
		log.Fatalf("%s=%q is not a number", name, os.Getenv(name))
	}
	return time.Duration(number * float64(time.Second))
}

func (s *server) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	model := "/v1/models/" + s.name
	switch path := request.URL.Path; {
	case path == "/" || path == "/v2/health/live":
		s.say(answer, http.StatusOK, map[string]any{"status": "alive"})
	case path == "/v1/models":
		s.say(answer, s.readiness(), map[string]any{"models": []string{s.name}})
	case path == model || path == "/v2/health/ready":
		status := s.readiness()
		s.say(answer, status, map[string]any{"name": s.name, "ready": status == http.StatusOK})
	case path == model+":predict" && request.Method != http.MethodPost:
		s.say(answer, http.StatusMethodNotAllowed, map[string]any{"error": "a prediction takes a POST"})
	case path == model+":predict":
		s.answerPrediction(answer, request)
	case strings.HasPrefix(path, "/v1/models/"):
		s.say(answer, http.StatusNotFound, map[string]any{"error": fmt.Sprintf("there is no %s, only the model %s", path, s.name)})
	default:
		s.say(answer, http.StatusNotFound, map[string]any{"error": "there is no " + path})
	}
}

func (s *server) readiness() int {
	if time.Now().Before(s.ready) {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (s *server) answerPrediction(answer http.ResponseWriter, request *http.Request) {
	if status := s.readiness(); status != http.StatusOK {
		s.say(answer, status, map[string]any{"error": "the model is loading"})
		return
	}
	var body struct {
		Instances []any `json:"instances"`
	}
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		s.say(answer, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	predictions := make([]float64, len(body.Instances))
	for i, instance := range body.Instances {
		sum, ok := sumOf(instance)
		if !ok {
			s.say(answer, http.StatusBadRequest, map[string]any{"error": fmt.Sprintf("instances[%d] holds more than numbers", i)})
			return
		}
		predictions[i] = sum
	}
	time.Sleep(s.predict)
	s.say(answer, http.StatusOK, map[string]any{"predictions": predictions})
}

func sumOf(instance any) (float64, bool) {
	switch value := instance.(type) {
	case float64:
		return value, true
	case []any:
		var sum float64
		for _, element := range value {
			part, ok := sumOf(element)
			if !ok {
				return 0, false
			}
			sum += part
		}
		return sum, true
	default:
		return 0, false
	}
}

func (s *server) say(answer http.ResponseWriter, status int, body map[string]any) {
	body["version"], body["pod"] = s.version, s.pod
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	if err := json.NewEncoder(answer).Encode(body); err != nil {
		log.Print(err)
	}
}
