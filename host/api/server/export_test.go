package server

import (
	"maps"
	"net"
	"net/http"
	"slices"

	"github.com/taskhost/taskhost/host/task"
)

// StatusOf is the status that a code is answered with.
func StatusOf(code task.Code) int {
	status, _ := statusOf(code)
	return status
}

// OnConnState has f told of connections' states too, before Serve.
func (s *Server) OnConnState(f func(net.Conn, http.ConnState)) {
	own := s.http.ConnState
	s.http.ConnState = func(c net.Conn, state http.ConnState) {
		own(c, state)
		f(c, state)
	}
}

// RequestFields are the names of the fields that are read of a request, by its schema.
func RequestFields() map[string][]string {
	return map[string][]string{"TaskRequest": slices.Sorted(maps.Keys(specFields)), "GroupRequest": slices.Sorted(maps.Keys(groupFields)),
		"ActionFilter": slices.Sorted(maps.Keys(filterFields)), "ScheduleRequest": slices.Sorted(maps.Keys(scheduleFields)),
		"TokenRequest": slices.Sorted(maps.Keys(tokenFields)),
		"TypeRequest":  slices.Sorted(maps.Keys(typeFields)),
		"ClaimRequest": slices.Sorted(maps.Keys(claimFields)), "ClaimProgress": slices.Sorted(maps.Keys(progressFields)), "ClaimLog": slices.Sorted(maps.Keys(logFields)),
		"ClaimFailure": slices.Sorted(maps.Keys(failureFields)), "ClaimTrash": slices.Sorted(maps.Keys(trashFields))}
}
