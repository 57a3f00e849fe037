package config

import (
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
