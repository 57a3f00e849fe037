package server

import (
	"net"
	"net/http"
)

// OnConnState has f told of connections' states too, before Serve.
func (s *Server) OnConnState(f func(net.Conn, http.ConnState)) {
	own := s.http.ConnState
	s.http.ConnState = func(c net.Conn, state http.ConnState) {
		own(c, state)
		f(c, state)
	}
}
