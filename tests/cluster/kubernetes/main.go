// Command kf-kubernetes holds the programs of a small Kubernetes cluster: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kubelet, kube-proxy and kubectl. A process runs one of
// them, named by its first argument or by the name of the link it was started through.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	// Time zones of CronJobs, on machines without a zone database.
	_ "time/tzdata"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"

	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// program is a function because the constructors register flags, feature gates and metrics
// globally: only the one that runs may be called.
type program struct {
	name string
	run  func() int
}

var programs = []program{
	{"etcd", func() int { return cli.Run(newEtcdCommand()) }},
	{"kube-apiserver", func() int { return cli.Run(apiserver.NewAPIServerCommand()) }},
	{"kube-controller-manager", func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) }},
	{"kube-scheduler", func() int { return cli.Run(scheduler.NewSchedulerCommand()) }},
	{"kubelet", func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) }},
	{"kube-proxy", func() int { return cli.Run(proxy.NewProxyCommand()) }},
	{"kubectl", runKubectl},
}

func runKubectl() int {
	// An unusable -v stays as it was; kubectl itself reports it.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return 0
}

// newEtcdCommand is an etcd of one member without TLS, with etcd's own flag names.
func newEtcdCommand() *cobra.Command {
	config := embed.NewConfig()
	var clientURL, peerURL string
	command := &cobra.Command{
		Use:          "etcd",
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			client, err := url.Parse(clientURL)
			if err != nil {
				return fmt.Errorf("--listen-client-urls: %w", err)
			}
			peer, err := url.Parse(peerURL)
			if err != nil {
				return fmt.Errorf("--listen-peer-urls: %w", err)
			}
			config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
			config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
			config.InitialCluster = config.InitialClusterFromName(config.Name)
			return serveEtcd(config)
		},
	}
	flags := command.Flags()
	flags.StringVar(&config.Dir, "data-dir", "default.etcd", "data directory")
	flags.StringVar(&config.LogLevel, "log-level", "warn", "debug, info, warn or error")
	flags.BoolVar(&config.UnsafeNoFsync, "unsafe-no-fsync", false, "never fsync; a crash of the machine loses data")
	flags.StringVar(&clientURL, "listen-client-urls", "http://127.0.0.1:2379", "one URL for clients")
	flags.StringVar(&clientURL, "advertise-client-urls", "http://127.0.0.1:2379", "the same URL again")
	flags.StringVar(&peerURL, "listen-peer-urls", "http://127.0.0.1:2380", "one URL for peers, of which there are none")
	return command
}

func serveEtcd(config *embed.Config) error {
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case err := <-server.Err():
		return err
	case <-stop:
		return nil
	}
}

func find(name string) (program, bool) {
	at := slices.IndexFunc(programs, func(p program) bool { return p.name == name })
	if at < 0 {
		return program{}, false
	}
	return programs[at], true
}

func main() {
	chosen, ok := find(filepath.Base(os.Args[0]))
	if !ok && len(os.Args) > 1 {
		if chosen, ok = find(os.Args[1]); ok {
			os.Args = os.Args[1:]
		}
	}
	if !ok {
		names := make([]string, len(programs))
		for i, p := range programs {
			names[i] = p.name
		}
		fmt.Fprintf(os.Stderr, "usage: kf-kubernetes %s [flags]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	os.Exit(chosen.run())
}
