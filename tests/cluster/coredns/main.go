// Command coredns is CoreDNS with the plugins that the test cluster's Corefile uses. Upstream's own
// main links the clients of several clouds as well.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order in which a query passes them. Upstream asks template before kubernetes; here it has
	// the last word.
	dnsserver.Directives = []string{"ready", "health", "errors", "cache", "kubernetes", "template"}
	coremain.Run()
}
