package storetest

import (
	"bytes"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// RunUploads holds a store against task.UploadStore.
func RunUploads[S interface {
	task.Store
	task.UploadStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"uploads", uploads},
		{"an upload goes with its attempt", uploadsGo},
	})
}

func (s *suite) upload(t task.Task, u task.Upload) error {
	s.Helper()
	return port[task.UploadStore](s).SaveUpload(s.ctx, t.Seq, t.Token, u)
}

func (s *suite) wantUpload(t task.Task, want task.Upload) {
	s.Helper()
	got, err := port[task.UploadStore](s).Upload(s.ctx, t.Seq, t.Token)
	s.must(err)
	if got.ContentType != want.ContentType || !bytes.Equal(got.Data, want.Data) {
		s.Fatalf("the upload is %d bytes of %q, want %d of %q", len(got.Data), got.ContentType, len(want.Data), want.ContentType)
	}
}

func (s *suite) wantNoUpload(t task.Task) {
	s.Helper()
	_, err := port[task.UploadStore](s).Upload(s.ctx, t.Seq, t.Token)
	s.wantCode(err, task.CodeNotFound)
}

func uploads(s *suite) {
	a, b := s.run(task.Spec{}), s.run(task.Spec{})
	s.wantNoUpload(a)
	large := task.Upload{ContentType: "application/octet-stream", Data: bytes.Repeat([]byte{0, 255}, 1<<20)}
	s.must(s.upload(a, task.Upload{ContentType: "text/plain", Data: []byte("first")}))
	s.must(s.upload(a, large))
	s.must(s.upload(b, task.Upload{ContentType: "text/plain"}))
	for range 2 {
		s.wantUpload(a, large)
		s.wantUpload(b, task.Upload{ContentType: "text/plain"})
		equal(s.T, s.get(a.ID), a)
		s.reopen()
	}
	stranger := a
	stranger.Token = newToken()
	s.wantCode(s.upload(stranger, large), task.CodeConflict)
	s.wantNoUpload(stranger)
	stranger = a
	stranger.Seq += 100
	s.wantCode(s.upload(stranger, large), task.CodeConflict)
}

// uploadsGo: whatever way an attempt ends, its upload is gone then, also if the host
// was restarted in between; and nobody else's is.
func uploadsGo(s *suite) {
	stays := s.run(task.Spec{})
	kept := task.Upload{ContentType: "text/plain", Data: []byte("kept")}
	s.must(s.upload(stays, kept))
	for i, o := range []task.Outcome{
		{Kind: task.OutcomeSucceeded, Result: []byte("x"), ResultType: "text/plain"}, {Kind: task.OutcomeFailed, Permanent: true}, {Kind: task.OutcomeLost}, {Kind: task.OutcomeReleased},
	} {
		t := s.run(task.Spec{Priority: 10 + i})
		s.must(s.upload(t, task.Upload{ContentType: "text/plain", Data: []byte("x")}))
		if i%2 == 1 {
			s.reopen()
		}
		s.settle(t, o)
		s.wantNoUpload(t)
		s.wantCode(s.upload(t, kept), task.CodeConflict)
		s.wantUpload(stays, kept)
	}
	again := s.claim(1)[0]
	s.wantNoUpload(again)
	s.must(s.upload(again, kept))
	s.wantUpload(again, kept)
	s.succeed(stays)
	s.wantNoUpload(stays)
	s.wantUpload(again, kept)
}
