package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T, dir string) *authority {
	a := &authority{t: t, dir: dir}
	a.cert, a.key = a.sign("ca", 1, true)
	return a
}

// sign writes NAME.crt and NAME.key, signed by the authority, or by itself if that is what it is to be.
func (a *authority) sign(name string, serial int64, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, by := a.cert, a.key
	if isCA {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", raw)
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// serial is that of the certificate that the server shows.
func (a *authority) serial(addr string) int64 {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	if err != nil {
		a.t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// run runs the command line with more in its environment, and gives what it said.
func (s *server) cli(env []string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	var out, fault strings.Builder
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &fault
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), fault.String(), cmd.ProcessState.ExitCode()
}

// TestServerForOthers: a server off loopback wants a token, speaks TLS, knows clients by
// certificates as well, and takes a new certificate on SIGHUP.
func TestServerForOthers(t *testing.T) {
	t.Setenv("TASKHOST_LISTEN", "0.0.0.0:0")
	files := t.TempDir()
	ca := newAuthority(t, files)
	ca.sign("server", 2, false)
	ca.sign("ops", 3, false)
	file := func(name string) string { return filepath.Join(files, name) }
	s := newServer(t, "", `anonymous = "none"
tls {
  cert = "`+file("server.crt")+`"
  key  = "`+file("server.key")+`"
}
`+localOnly)
	s.run()
	<-s.exited
	if said := s.output.String(); !strings.Contains(said, "is not a loopback address, and there is no token") || !strings.Contains(said, "--data-dir "+s.data()) {
		t.Fatalf("a server that everyone may enter:\n%s", said)
	}
	if none, said, code := s.cli(nil, "token", "list", "--data-dir", s.data(), "-o", "json"); code != 0 || !strings.Contains(none, `"tokens": []`) && !strings.Contains(none, `"tokens":[]`) {
		t.Errorf("no tokens: %s%s", none, said)
	}
	secret, said, code := s.cli(nil, "token", "create", "ops", "--role", "admin", "--owner", "ops", "--data-dir", s.data(), "-o", "name")
	secret = strings.TrimSpace(secret)
	if code != 0 {
		t.Fatal(said)
	}
	s.run()
	addr := ""
	s.until("the server listens", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.data(), "address"))
		_, port, err := net.SplitHostPort(strings.TrimSpace(string(b)))
		addr = "127.0.0.1:" + port
		return err == nil
	})
	env := []string{"TASKHOST_ADDR=https://" + addr, "TASKHOST_CA_CERT=" + file("ca.crt")}
	s.until("it is ready", func() bool {
		_, _, code := s.cli(append(env, "TASKHOST_TOKEN="+secret), "status")
		return code == 0
	})
	if _, said, code := s.cli(env, "whoami"); code != exitNotAllowed || !strings.Contains(said, "TASKHOST_TOKEN") {
		t.Errorf("without a token: %d %s", code, said)
	}
	if _, said, code := s.cli([]string{env[0], "TASKHOST_TOKEN=" + secret}, "whoami"); code != exitFault || !strings.Contains(said, "certificate") {
		t.Errorf("without the authority: %d %s", code, said)
	}
	out, said, code := s.cli(append(env, "TASKHOST_TOKEN="+secret), "task", "submit", "sum", "--input", "[1,2]", "--wait")
	if code != 0 || strings.TrimSpace(out) != "3.0" {
		t.Errorf("a task: %d %s %s", code, out, said)
	}
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "speaks HTTPS") {
		t.Errorf("plain HTTP: %d %s", resp.StatusCode, body)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if n := ca.serial(addr); n != 2 {
		t.Errorf("the certificate is %d", n)
	}
	ca.sign("server", 4, false)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.says("config reloaded", 1)
	if n := ca.serial(addr); n != 4 {
		t.Errorf("after SIGHUP the certificate is %d", n)
	}
	if strings.Contains(s.output.String(), secret) {
		t.Error("the log has a secret")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestClientCertificates: who shows a certificate is the owner that it names.
func TestClientCertificates(t *testing.T) {
	files := t.TempDir()
	ca := newAuthority(t, files)
	for i, name := range []string{"server", "ann", "ops"} {
		ca.sign(name, int64(i+2), false)
	}
	other := newAuthority(t, t.TempDir())
	other.sign("ops", 9, false)
	file := func(name string) string { return filepath.Join(files, name) }
	s := newServer(t, "", `tls {
  cert         = "`+file("server.crt")+`"
  key          = "`+file("server.key")+`"
  client_ca    = "`+file("ca.crt")+`"
  client_roles = { ops = "admin" }
}
`+localOnly)
	s.run()
	addr := ""
	s.until("the server listens", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.data(), "address"))
		addr = strings.TrimSpace(string(b))
		return addr != ""
	})
	env := func(name string) []string {
		return []string{"TASKHOST_ADDR=https://" + addr, "TASKHOST_CA_CERT=" + file("ca.crt"), "TASKHOST_CERT=" + file(name+".crt"), "TASKHOST_KEY=" + file(name+".key")}
	}
	for name, role := range map[string]string{"ann": "member", "ops": "admin"} {
		var who struct{ Owner, Role, By string }
		s.until("it is ready for "+name, func() bool {
			out, _, code := s.cli(env(name), "whoami", "-o", "json")
			return code == 0 && json.Unmarshal([]byte(out), &who) == nil
		})
		if who.Owner != name || who.Role != role || who.By != "certificate" {
			t.Errorf("%s is %+v", name, who)
		}
	}
	if _, said, code := s.cli(env("ann")[:2], "whoami"); code != exitNotAllowed {
		t.Errorf("without a certificate: %d %s", code, said)
	}
	stranger := append(env("ops")[:2:2], "TASKHOST_CERT="+filepath.Join(other.dir, "ops.crt"), "TASKHOST_KEY="+filepath.Join(other.dir, "ops.key"))
	if out, said, code := s.cli(stranger, "whoami"); code == 0 {
		t.Errorf("a certificate of another authority: %s %s", out, said)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
