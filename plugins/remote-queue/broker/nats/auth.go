package natsbroker

import (
	"crypto/subtle"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// hostUser is how the host itself logs in to its embedded broker.
const hostUser = "taskhost"

// workerAuth lets workers in and holds each to the subjects of its name: one can
// neither speak as another nor read what another is told.
type workerAuth struct {
	names       Subjects
	hostSecret  string            // the host's own secret
	joinToken   string            // the join file's: any name
	sharedToken string            // any name
	tokenByName map[string]string // that name only
	openToAll   bool              // loopback without any token: any name
}

// Check is the server's question about a new connection. A worker's user is its
// name and its password the token.
func (a *workerAuth) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if equalSecrets(o.Password, a.hostSecret) && o.Username == hostUser {
		return true
	}
	if wire.CheckWorkerName(o.Username) != nil {
		return false
	}
	own, named := a.tokenByName[o.Username]
	switch {
	case equalSecrets(o.Password, a.joinToken), a.openToAll:
	case named && equalSecrets(o.Password, own):
	case !named && a.sharedToken != "" && equalSecrets(o.Password, a.sharedToken):
	default:
		return false
	}
	c.RegisterUser(&server.User{Username: o.Username, Permissions: a.permissions(o.Username)})
	return true
}

// permissions are all that a worker needs: it manages neither stream nor consumers.
func (a *workerAuth) permissions(worker string) *server.Permissions {
	n := a.names
	pub := append([]string{n.Up(wire.Peer{Name: worker, Instance: "*"}, "*"), n.pull("*")}, n.acks()...)
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: pub},
		Subscribe: &server.SubjectPermission{Allow: []string{n.Down(wire.Peer{Name: worker, Instance: "*"}), n.Inbox(worker) + ".>"}},
	}
}

// equalSecrets compares secrets in constant time; an empty one matches nothing.
func equalSecrets(given, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}
