package queuetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates makes an authority and a certificate for loopback, in files below dir.
func Certificates(dir string) (ca, cert, key string, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	write := func(name, kind string, der []byte, failed error) string {
		path := filepath.Join(dir, name)
		if err == nil {
			err = failed
		}
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		return path
	}
	rootDER, failed := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	ca = write("ca.pem", "CERTIFICATE", rootDER, failed)
	leafDER, failed := x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, caKey)
	cert = write("cert.pem", "CERTIFICATE", leafDER, failed)
	keyDER, failed := x509.MarshalPKCS8PrivateKey(leafKey)
	key = write("key.pem", "PRIVATE KEY", keyDER, failed)
	return ca, cert, key, err
}
