package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// brokerURLs takes a list of brokers apart; one that cannot be read is left out.
func brokerURLs(list string) (all []*url.URL) {
	for _, one := range strings.Split(list, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		if u, err := url.Parse(one); err == nil {
			all = append(all, u)
		}
	}
	return all
}

// OnRabbitMQ says whether the brokers of a list are RabbitMQ's, or else NATS's, which the
// scheme of their addresses tells. An error means that it tells neither.
func OnRabbitMQ(urls string) (bool, error) {
	rabbit, other := 0, 0
	for _, u := range brokerURLs(urls) {
		switch u.Scheme {
		case "amqp", "amqps":
			rabbit++
		case "nats", "tls", "ws", "wss":
			other++
		default:
			return false, fmt.Errorf("url: %q is no scheme of a broker: nats and tls are NATS, amqp and amqps are RabbitMQ", u.Scheme)
		}
	}
	if rabbit > 0 && other > 0 {
		return false, errors.New("url: the nodes of one broker are either NATS's or RabbitMQ's")
	}
	return rabbit > 0, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// onLoopback says that all brokers of a list are on this machine.
func onLoopback(urls string) bool {
	all := brokerURLs(urls)
	for _, u := range all {
		if !isLoopback(u.Hostname()) {
			return false
		}
	}
	return len(all) == strings.Count(urls, ",")+1
}

// WithoutScheme is the host and port of an address.
func WithoutScheme(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	return rest
}
