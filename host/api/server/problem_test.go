package server

import (
	"fmt"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func TestEveryCodeHasItsStatus(t *testing.T) {
	// As the API page has them.
	for code, status := range map[task.Code]int{
		"invalid_request": 400, "invalid_input": 422, "unauthenticated": 401, "forbidden": 403, "not_found": 404, "unknown_type": 422, "conflict": 409,
		"idempotency_mismatch": 422, "not_final": 409, "already_final": 409, "precondition_failed": 412, "too_large": 413, "queue_full": 429, "quota_exceeded": 429,
		"executor_unavailable": 503, "store_unavailable": 503, "store_full": 507, "internal": 500,
	} {
		p, after := problemOf(fmt.Errorf("while doing it: %w", &task.Error{Code: code, Message: "m", Fields: []task.FieldError{{Path: []string{"a"}, Message: "b"}}}))
		if p.Status != status || p.Code != code || p.Detail != "m" || p.Title == "" || len(p.Errors) != 1 || p.Errors[0] != (api.ProblemField{Pointer: "/a", Detail: "b"}) {
			t.Errorf("%s: %+v", code, p)
		}
		if (after > 0) != (status == 429 || status == 503) {
			t.Errorf("%s: Retry-After %d", code, after)
		}
		if back := p.AsError(0); back.Code != code || back.Message != "m" || len(back.Fields) != 1 {
			t.Errorf("%s comes back as %+v", code, back)
		}
	}
	if p, _ := problemOf(&task.Error{Code: "new_and_unknown", Message: "m"}); p.Status != 500 || p.Code != task.CodeInternal {
		t.Errorf("%+v", p)
	}
}
