// Command pipelines stands in for the API server of Kubeflow Pipelines, which cannot be had here. It
// serves the part of the v2beta1 REST API that a client needs to list and run pipelines, with upstream's
// paths and field names, from memory:
//
//	GET  /healthz                               {"multi_user": true}
//	GET  /experiments, /pipelines, /runs        lists, by page_size and page_token
//	GET  /pipelines/ID/versions
//	POST /experiments, /runs
//	GET  /runs/ID
//
// Like upstream's in its multi-user mode it asks the cluster who calls, by a TokenReview for the audience
// pipelines.kubeflow.org, and whether they may, by a SubjectAccessReview on the virtual resources of the
// group pipelines.kubeflow.org. A run makes one pod for each task of the pipeline, with upstream's labels;
// the states of the pods are the run's.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	group    = "pipelines.kubeflow.org"
	account  = "/var/run/secrets/kubernetes.io/serviceaccount/"
	runLabel = "pipeline/runid"
)

type object = map[string]any

type server struct {
	cluster     cluster
	image       string
	mutex       sync.Mutex
	experiments []object
	pipelines   []object
	versions    map[string][]object
	runs        []object
	namespaces  map[string]string
}

func main() {
	log.SetFlags(0)
	connected, err := connect()
	if err != nil {
		log.Fatal(err)
	}
	spec := object{
		"pipelineInfo": object{"name": "stored"}, "schemaVersion": "2.1.0",
		"root": object{"dag": object{"tasks": object{"greet": object{}}}},
	}
	s := &server{
		cluster:    connected,
		image:      os.Getenv("TASK_IMAGE"),
		pipelines:  []object{{"pipeline_id": "stored-id", "display_name": "stored", "created_at": now()}},
		versions:   map[string][]object{"stored-id": {{"pipeline_version_id": "stored-v1", "display_name": "v1", "pipeline_spec": spec, "created_at": now()}}},
		namespaces: map[string]string{},
	}
	log.Print("listening on port 8888")
	log.Fatal(http.ListenAndServe(":8888", s))
}

// refusal is an error as the API answers it.
type refusal struct {
	status, code int
	message      string
}

func (r refusal) Error() string { return r.message }

func (s *server) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	said, err := s.answer(request)
	status := http.StatusOK
	if err != nil {
		refused := refusal{http.StatusInternalServerError, 13, err.Error()}
		errors.As(err, &refused)
		status = refused.status
		said = object{"error": refused.message, "code": refused.code, "message": refused.message, "details": []any{}}
	}
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	if err := json.NewEncoder(answer).Encode(said); err != nil {
		log.Print(err)
	}
}

func (s *server) answer(request *http.Request) (any, error) {
	path, ok := strings.CutPrefix(request.URL.Path, "/apis/v2beta1/")
	if !ok {
		return nil, refusal{http.StatusNotFound, 5, "no such path"}
	}
	if path == "healthz" {
		return object{"multi_user": true}, nil
	}
	who, err := s.authenticate(request)
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	parts := strings.Split(path, "/")
	query := request.URL.Query()
	var body object
	if request.Method == http.MethodPost {
		if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
			return nil, refusal{http.StatusBadRequest, 3, err.Error()}
		}
	}
	switch {
	case request.Method == http.MethodPost && path == "experiments":
		return s.createExperiment(who, body)
	case request.Method == http.MethodPost && path == "runs":
		return s.createRun(who, body)
	case request.Method != http.MethodGet:
		return nil, refusal{http.StatusNotImplemented, 12, "not in this server"}
	case len(parts) == 2 && parts[0] == "runs":
		return s.getRun(who, parts[1])
	case len(parts) == 3 && parts[0] == "pipelines" && parts[2] == "versions":
		return page("pipeline_versions", s.versions[parts[1]], query.Get("page_size"), query.Get("page_token"))
	case path == "experiments" || path == "pipelines" || path == "runs":
		if err := s.authorize(who, "list", path, query.Get("namespace")); err != nil {
			return nil, err
		}
		return page(path, s.list(path, query.Get("namespace"), query.Get("experiment_id")), query.Get("page_size"), query.Get("page_token"))
	default:
		return nil, refusal{http.StatusNotFound, 5, "no such path"}
	}
}

// list returns the newest first.
func (s *server) list(kind, namespace, experiment string) []object {
	var found []object
	switch kind {
	case "pipelines":
		found = slices.Clone(s.pipelines)
	case "experiments":
		for _, one := range s.experiments {
			if one["namespace"] == namespace {
				found = append(found, one)
			}
		}
	case "runs":
		for _, one := range s.runs {
			id, _ := one["run_id"].(string)
			if s.namespaces[id] == namespace && (experiment == "" || one["experiment_id"] == experiment) {
				found = append(found, one)
			}
		}
	}
	slices.Reverse(found)
	return found
}

func page(field string, items []object, size, token string) (any, error) {
	start, err := strconv.Atoi(token)
	if token != "" && err != nil || start > len(items) {
		return nil, refusal{http.StatusBadRequest, 3, "page_token is not one of this server's"}
	}
	limit, err := strconv.Atoi(size)
	if err != nil || limit < 1 {
		limit = 20
	}
	answer := object{"total_size": len(items)}
	end := min(start+limit, len(items))
	if end < len(items) {
		answer["next_page_token"] = strconv.Itoa(end)
	}
	answer[field] = items[start:end]
	return answer, nil
}

func (s *server) createExperiment(who identity, body object) (any, error) {
	namespace, _ := body["namespace"].(string)
	if err := s.authorize(who, "create", "experiments", namespace); err != nil {
		return nil, err
	}
	body["experiment_id"], body["created_at"] = identifier(), now()
	s.experiments = append(s.experiments, body)
	return body, nil
}

func (s *server) createRun(who identity, body object) (any, error) {
	namespace := ""
	for _, experiment := range s.experiments {
		if experiment["experiment_id"] == body["experiment_id"] {
			namespace, _ = experiment["namespace"].(string)
		}
	}
	if namespace == "" {
		return nil, refusal{http.StatusBadRequest, 3, "a run needs an experiment, which names its namespace"}
	}
	if err := s.authorize(who, "create", "runs", namespace); err != nil {
		return nil, err
	}
	tasks, err := s.tasks(body)
	if err != nil {
		return nil, err
	}
	id := identifier()
	for _, task := range tasks {
		if err := s.startPod(namespace, id, task, body["runtime_config"]); err != nil {
			return nil, err
		}
	}
	body["run_id"], body["created_at"], body["state"] = id, now(), "PENDING"
	s.runs = append(s.runs, body)
	s.namespaces[id] = namespace
	return body, nil
}

// tasks returns the names of the pipeline's tasks.
func (s *server) tasks(run object) ([]string, error) {
	spec, _ := run["pipeline_spec"].(object)
	if reference, ok := run["pipeline_version_reference"].(object); ok {
		id, _ := reference["pipeline_id"].(string)
		for _, version := range s.versions[id] {
			if version["pipeline_version_id"] == reference["pipeline_version_id"] {
				spec, _ = version["pipeline_spec"].(object)
			}
		}
	}
	if nested, ok := spec["pipeline_spec"].(object); ok {
		spec = nested
	}
	root, _ := spec["root"].(object)
	graph, _ := root["dag"].(object)
	tasks, _ := graph["tasks"].(object)
	if len(tasks) == 0 {
		return nil, refusal{http.StatusBadRequest, 3, "the pipeline has no tasks"}
	}
	var names []string
	for name := range tasks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// startPod makes the pod of a task: one whose name begins with `fail` ends with an error.
func (s *server) startPod(namespace, run, task string, config any) error {
	parameters, err := json.Marshal(config)
	if err != nil {
		return err
	}
	script := fmt.Sprintf("echo task %s; echo '%s'", task, strings.ReplaceAll(string(parameters), "'", ""))
	if strings.HasPrefix(task, "fail") {
		script += "; exit 3"
	}
	pod := object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"name":        fmt.Sprintf("run-%s-%s", run[:8], task),
			"labels":      object{runLabel: run},
			"annotations": object{"workflows.argoproj.io/node-name": fmt.Sprintf("run-%s.root.%s.executor", run[:8], task)},
		},
		"spec": object{
			"restartPolicy": "Never",
			"containers":    []object{{"name": "main", "image": s.image, "command": []string{"sh", "-c", script}}},
		},
	}
	return s.cluster.call(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", pod, nil)
}

func (s *server) getRun(who identity, id string) (any, error) {
	namespace, ok := s.namespaces[id]
	if !ok {
		return nil, refusal{http.StatusNotFound, 5, "run " + id + " not found"}
	}
	if err := s.authorize(who, "get", "runs", namespace); err != nil {
		return nil, err
	}
	var pods struct {
		Items []struct {
			Metadata struct {
				Name        string            `json:"name"`
				Annotations map[string]string `json:"annotations"`
				Created     string            `json:"creationTimestamp"`
			} `json:"metadata"`
			Status struct {
				Phase string `json:"phase"`
			} `json:"status"`
		} `json:"items"`
	}
	query := "/api/v1/namespaces/" + namespace + "/pods?labelSelector=pipeline%2Frunid%3D" + id
	if err := s.cluster.call(http.MethodGet, query, nil, &pods); err != nil {
		return nil, err
	}
	for _, run := range s.runs {
		if run["run_id"] != id {
			continue
		}
		state := "SUCCEEDED"
		var details []object
		for _, pod := range pods.Items {
			path := strings.Split(pod.Metadata.Annotations["workflows.argoproj.io/node-name"], ".")
			detail := object{
				"run_id": id, "task_id": pod.Metadata.Name, "display_name": path[2],
				"pod_name": pod.Metadata.Name, "start_time": pod.Metadata.Created,
			}
			switch pod.Status.Phase {
			case "Succeeded":
				detail["state"] = "SUCCEEDED"
			case "Failed":
				detail["state"], detail["error"] = "FAILED", object{"code": 13, "message": "the task ended with an error"}
				state = "FAILED"
			default:
				detail["state"] = "RUNNING"
				if state != "FAILED" {
					state = "RUNNING"
				}
			}
			details = append(details, detail)
		}
		run["state"], run["run_details"] = state, object{"task_details": details}
		if state != "RUNNING" && run["finished_at"] == nil {
			run["finished_at"] = now()
		}
		return run, nil
	}
	return nil, refusal{http.StatusNotFound, 5, "run " + id + " not found"}
}

// identity is who a token belongs to.
type identity struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

func (s *server) authenticate(request *http.Request) (identity, error) {
	token, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return identity{}, refusal{http.StatusUnauthorized, 16, "the request has no bearer token"}
	}
	var review struct {
		Status struct {
			Authenticated bool     `json:"authenticated"`
			Audiences     []string `json:"audiences"`
			User          identity `json:"user"`
		} `json:"status"`
	}
	ask := object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": object{"token": token, "audiences": []string{group}},
	}
	if err := s.cluster.call(http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", ask, &review); err != nil {
		return identity{}, err
	}
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, group) {
		return identity{}, refusal{http.StatusUnauthorized, 16, "the token is not for " + group}
	}
	return review.Status.User, nil
}

func (s *server) authorize(who identity, verb, resource, namespace string) error {
	if namespace == "" {
		return refusal{http.StatusBadRequest, 3, "a namespace is missing"}
	}
	var review struct {
		Status struct {
			Allowed bool `json:"allowed"`
		} `json:"status"`
	}
	ask := object{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": object{
			"user": who.Username, "groups": who.Groups,
			"resourceAttributes": object{
				"group": group, "version": "v1beta1", "resource": resource, "verb": verb, "namespace": namespace,
			},
		},
	}
	if err := s.cluster.call(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", ask, &review); err != nil {
		return err
	}
	if !review.Status.Allowed {
		return refusal{http.StatusForbidden, 7, fmt.Sprintf("%s may not %s %s in %s", who.Username, verb, resource, namespace)}
	}
	return nil
}

// cluster is the Kubernetes API, as the pod's own account.
type cluster struct {
	client *http.Client
}

func connect() (cluster, error) {
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return cluster{}, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authority) {
		return cluster{}, errors.New("the pod's certificate of the API server cannot be read")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	return cluster{&http.Client{Timeout: 10 * time.Second, Transport: transport}}, nil
}

func (c cluster) call(method, path string, body, into any) error {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	host := os.Getenv("KUBERNETES_SERVICE_HOST") + ":" + os.Getenv("KUBERNETES_SERVICE_PORT")
	request, err := http.NewRequest(method, "https://"+host+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("the API server answers %s to %s %s", answer.Status, method, path)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

func identifier() string {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		log.Fatal(err)
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", random[:4], random[4:6], random[6:8], random[8:10], random[10:])
}

func now() string {
	return time.Now().UTC().Format(time.RFC3339)
}
