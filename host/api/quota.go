package api

import "github.com/taskhost/taskhost/host/task"

// QuotaUse is what is used of one thing that a quota may bound.
type QuotaUse struct {
	Used  int64  `json:"used" doc:"how much there is now"`
	Limit *int64 `json:"limit" minimum:"1" doc:"how much there may be; null for no bound"`
}

// Quota is what an owner has, and may have.
type Quota struct {
	Waiting QuotaUse `json:"waiting" doc:"tasks that wait, for whatever reason; at the bound new ones are 429 quota_exceeded"`
	Running QuotaUse `json:"running" doc:"attempts that are under way; at the bound others wait"`
	// Bytes is nil while no owner has a bound on them: they are not counted then.
	Bytes *QuotaUse `json:"bytes,omitempty" doc:"what inputs, labels, checkpoints, results, errors and logs take in the store; at the bound new tasks are 429 quota_exceeded. Absent while no owner has a bound on it: it is not counted then"`
}

// QuotaOf is an owner's use as clients are told of it.
func QuotaOf(u *task.OwnerUse) Quota {
	use := func(used, limit int64) QuotaUse {
		out := QuotaUse{Used: used}
		if limit > 0 {
			out.Limit = &limit
		}
		return out
	}
	q := Quota{Waiting: use(u.Waiting, u.Limit.Waiting), Running: use(u.Running, u.Limit.Running)}
	if u.BytesCounted {
		bytes := use(u.Bytes, u.Limit.Bytes)
		q.Bytes = &bytes
	}
	return q
}

// OwnerQuota is what one of the owners has, and may have.
type OwnerQuota struct {
	Owner string `json:"owner" doc:"whose it is"`
	Quota
}

// OwnerQuotaList is one page of owners.
type OwnerQuotaList struct {
	Quotas []OwnerQuota `json:"quotas" nullable:"false" doc:"the owners of this page, by name"`
	Next   *string      `json:"next" doc:"the cursor of the next page; null on the last"`
}
