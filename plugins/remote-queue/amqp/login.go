package amqp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
)

// clientConfig is how one logs in, and how a broker is known.
func clientConfig(o Options) (amqp091.Config, error) {
	conf := amqp091.Config{Heartbeat: heartbeat, Properties: amqp091.NewConnectionProperties()}
	conf.Properties.SetClientConnectionName(o.Name)
	var err error
	if conf.TLSClientConfig, err = clientTLS(o.Credentials); err != nil {
		return conf, err
	}
	switch c := o.Credentials; {
	case c.Creds != "":
		return conf, errors.New("creds is for NATS: RabbitMQ knows user and password, token, or cert and key")
	case c.Token != "" && c.Password != "":
		return conf, errors.New("token and password: RabbitMQ looks at one of the two")
	case c.Token != "":
		user := c.User
		if user == "" {
			user = "taskhost" // with a token that says who one is, the name is not looked at
		}
		conf.SASL = []amqp091.Authentication{&amqp091.PlainAuth{Username: user, Password: c.Token}}
	case c.User != "" && c.Password != "":
		conf.SASL = []amqp091.Authentication{&amqp091.PlainAuth{Username: c.User, Password: c.Password}}
	case c.Cert != "" && !namesUser(o.URLs):
		conf.SASL = []amqp091.Authentication{&amqp091.ExternalAuth{}}
	}
	return conf, nil
}

// namesUser says that an address holds who one is.
func namesUser(urls string) bool {
	for _, one := range strings.Split(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err == nil && u.User != nil {
			return true
		}
	}
	return false
}

func clientTLS(c config.Credentials) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(string(c.CA))
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		cert, err := tls.LoadX509KeyPair(string(c.Cert), string(c.Key))
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

// CheckFiles reads the files that credentials name, and connects to nothing. It also says
// which credentials RabbitMQ does not know.
func CheckFiles(c config.Credentials) error {
	_, err := clientConfig(Options{Credentials: c})
	return err
}

// boundedConn is a connection whose writes do not wait for ever.
type boundedConn struct{ net.Conn }

func (c *boundedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
