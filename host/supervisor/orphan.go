package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// EndsWithHost starts a plugin as the child of another process, ends that one when the plugin
// says that it is ready, and waits until the plugin is gone, too, or ctx ends. Its error says
// what the plugin did instead. Nothing of it is left when EndsWithHost returns.
func (s *Supervisor) EndsWithHost(ctx context.Context, plugin string) error {
	found, err := Lookup(s.options.PluginDirs, s.options.Builtins, plugin)
	if err != nil {
		return err
	}
	never, whenGone, err := os.Pipe() // the plugin's standard input: nothing, and an end with its host
	if err != nil {
		return err
	}
	defer whenGone.Close()
	defer never.Close()
	cert, err := clientCertificate()
	if err != nil {
		return err
	}
	// The shell stands for the host. It reads until its own input ends.
	host := exec.Command("/bin/sh", "-c", `"$0" <&3 3<&- & read -r line`, found.Path)
	host.Dir = s.socketDir
	id := newID()
	host.Env = append(filterEnv(os.Environ(), defaultEnv, s.options.Env), instanceVar+"="+id,
		sdk.Handshake().MagicCookieKey+"="+sdk.Handshake().MagicCookieValue, "PLUGIN_PROTOCOL_VERSIONS=1",
		"PLUGIN_UNIX_SOCKET_DIR="+s.socketDir, "PLUGIN_CLIENT_CERT="+cert)
	host.ExtraFiles = []*os.File{never}
	host.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := host.StdinPipe()
	if err != nil {
		return err
	}
	out, said, err := os.Pipe() // by hand: exec's own is closed by Wait
	if err != nil {
		return err
	}
	defer out.Close()
	host.Stdout = said
	err = host.Start()
	said.Close()
	if err != nil {
		return fmt.Errorf("start /bin/sh: %w", err)
	}
	defer func() {
		killGroup(host.Process.Pid)
		killMarked(id)
	}()
	defer context.AfterFunc(ctx, func() { _ = out.SetReadDeadline(time.Now()) })()

	lines := bufio.NewReader(out)
	line, err := lines.ReadSlice('\n')
	stdin.Close()
	_ = host.Wait() // its read found no line, which it says by its status
	whenGone.Close()
	if err != nil || !isHandshake(string(line)) {
		return fmt.Errorf("it printed %q where the handshake belongs", bytes.TrimSpace(line))
	}
	gone := time.Now()
	if _, err := io.Copy(io.Discard, lines); err != nil {
		return fmt.Errorf("it goes on %s after its host has ended: look every half second whether the parent's pid has changed", time.Since(gone).Round(time.Second))
	}
	return nil
}

// clientCertificate is one as the host sets it for a plugin. Nobody will use it.
func clientCertificate() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), err
}
