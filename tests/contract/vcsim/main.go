// VMware's vCenter simulator, started for one test: a peer that nobody here wrote.
//
// `go install …/vcsim@version` has not worked since the command became a module of its own (a replace in its
// go.mod), so this small main imports the simulator package instead. It serves HTTPS, prints one line of JSON
// saying where, and ends when its standard input is closed: it never outlives the test that started it.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/vmware/govmomi/simulator"
)

// ready is what the test needs to connect. Thumbprint is the certificate's SHA-256, AA:BB:… .
type ready struct {
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Thumbprint  string `json:"thumbprint"`
	Certificate string `json:"certificate"`
	Instance    string `json:"instance"`
}

func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	datacenters := flag.Int("datacenters", 1, "datacenters")
	clusters := flag.Int("clusters", 1, "clusters in each datacenter")
	hosts := flag.Int("hosts", 3, "hosts in each cluster")
	machines := flag.Int("machines", 0, "virtual machines in each cluster")
	// pyVmomi picks its version by an exact id; anything else makes it fall back to a very old one.
	api := flag.String("api-version", "8.0.3.0", "about.apiVersion, an exact pyVmomi version id")
	user := flag.String("user", "administrator@vsphere.local", "the only user that may log in")
	password := flag.String("password", "vcsim-password", "and the password")
	flag.Parse()

	model := simulator.VPX()
	model.Datacenter, model.Cluster, model.ClusterHost, model.Machine = *datacenters, *clusters, *hosts, *machines
	model.Host = 0
	model.ServiceContent.About.ApiVersion = *api
	model.ServiceContent.About.Version = strings.Join(strings.Split(*api, ".")[:3], ".")
	defer model.Remove()
	if err := model.Create(); err != nil {
		return err
	}
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, *password)}
	server := model.Service.NewServer()
	defer server.Close()

	der := server.Certificate().Raw
	where := *server.URL
	where.User = nil
	line, err := json.Marshal(ready{
		URL: where.String(), User: *user, Password: *password, Thumbprint: thumbprint(der),
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Instance:    model.ServiceContent.About.InstanceUuid,
	})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
